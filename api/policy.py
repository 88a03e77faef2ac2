"""Which calls an enterprise may ask for (422), in the order in which the errors win."""

from __future__ import annotations

import re

from api.enterprise_directory import EnterpriseDirectory
from api.errors import (
    CalleeNotAvailableError,
    CallerNotAvailableError,
    IdentifierNotFoundError,
    InvalidPhoneNumberError,
    RecordingNotSupportedError,
    SameCallerCalleeError,
    redis_reachable,
)
from api.wanted_call import WantedCall
from config.settings import PolicySettings
from state.enterprises import Enterprise

_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
"""CAMARA_common.yaml, PhoneNumber. libphonenumber would refuse the specifications' own examples."""


class CallPolicy:
    def __init__(self, settings: PolicySettings, enterprises: EnterpriseDirectory) -> None:
        self._settings = settings
        self._enterprises = enterprises

    async def check(self, enterprise: Enterprise, wanted: WantedCall) -> None:
        """Raises one of the 422 errors of click-to-dial.yaml, UnprocessableEntity422; UnavailableError."""
        for who, number in (("caller", wanted.caller), ("callee", wanted.callee)):
            if _E164.fullmatch(number) is None:
                raise InvalidPhoneNumberError(f"{who}.number is not a valid E.164 phone number.")
        if wanted.caller == wanted.callee:
            raise SameCallerCalleeError
        if wanted.caller in self._settings.blacklist:
            raise CallerNotAvailableError
        if wanted.callee in self._settings.blacklist:
            raise CalleeNotAvailableError
        if enterprise.profile.callers == "members" and not await self._is_member(enterprise, wanted.caller):
            raise CallerNotAvailableError("The caller is no member of the enterprise.")
        recorded = is_recorded(enterprise, wanted)
        if recorded and not self._settings.no_recording.isdisjoint((wanted.caller, wanted.callee)):
            raise RecordingNotSupportedError

    async def check_person(self, enterprise: Enterprise, number: str | None) -> None:
        """Of a three-legged token. Raises IdentifierNotFoundError, UnavailableError."""
        if number is None or enterprise.profile.callers != "members":
            return
        if not await self._is_member(enterprise, number):
            raise IdentifierNotFoundError

    async def _is_member(self, enterprise: Enterprise, number: str) -> bool:
        with redis_reachable():
            store = await self._enterprises.store()
            return await store.is_member(enterprise.id, number)


def is_recorded(enterprise: Enterprise, wanted: WantedCall) -> bool:
    """Raises RecordingNotSupportedError if it is to be and may not."""
    match enterprise.profile.recording:
        case "always":
            return True
        case "never" if wanted.recording:
            raise RecordingNotSupportedError("The enterprise's calls are not recorded.")
        case _:
            return wanted.recording
