"""Which calls an enterprise may ask for (422), in the order in which the errors win."""

from __future__ import annotations

import re

from api.errors import (
    CalleeNotAvailableError,
    CallerNotAvailableError,
    InvalidPhoneNumberError,
    RecordingNotSupportedError,
    SameCallerCalleeError,
)
from config.settings import PolicySettings

_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
"""CAMARA_common.yaml, PhoneNumber. libphonenumber would refuse the specifications' own examples."""


def check_call(policy: PolicySettings, caller: str, callee: str, *, recording: bool) -> None:
    """Raises one of the 422 errors of click-to-dial.yaml, UnprocessableEntity422."""
    for who, number in (("caller", caller), ("callee", callee)):
        if _E164.fullmatch(number) is None:
            raise InvalidPhoneNumberError(f"{who}.number is not a valid E.164 phone number.")
    if caller == callee:
        raise SameCallerCalleeError
    if caller in policy.blacklist:
        raise CallerNotAvailableError
    if callee in policy.blacklist:
        raise CalleeNotAvailableError
    if recording and not policy.no_recording.isdisjoint((caller, callee)):
        raise RecordingNotSupportedError
