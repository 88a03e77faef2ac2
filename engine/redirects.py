"""Where a 3xx response may lead: nowhere that the call could not have dialled in the first place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from config.settings import PolicySettings

_SIP = re.compile(
    r"sips?:(?P<number>[^;:@]+)(?:;[^@]*)?@(?P<host>\[[^\]]+\]|[^:;?]+)(?:[:;?]|$)", re.IGNORECASE
)
_TEL = re.compile(r"tel:(?P<number>[^;]+)", re.IGNORECASE)
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")
"""They mean nothing (RFC 3966, section 5.1.1)."""


def permitted_number(
    targets: Iterable[str],
    *,
    trunk_hosts: Collection[str],
    policy: PolicySettings,
    taken: Collection[str],
    recording: bool,
) -> str | None:
    """The first E.164 number among `targets` (URIs, the preferred first) that this call may dial.

    It must be reached through our trunk (its host, or none), be on no blacklist, not be one of `taken` (both
    parties, and where this call was before), and allow recording if the call is recorded.
    """
    for target in targets:
        number = _number(target, trunk_hosts)
        if number is None or number in taken or number in policy.blacklist:
            continue
        if recording and number in policy.no_recording:
            continue
        return number
    return None


def _number(target: str, trunk_hosts: Collection[str]) -> str | None:
    """The E.164 number of a sip, sips or tel URI that leads to our trunk."""
    found = _SIP.match(target)
    if found is not None and found["host"].lower() not in trunk_hosts:
        return None
    if (found := found or _TEL.match(target)) is None:
        return None
    number = found["number"].translate(_VISUAL_SEPARATORS)
    return number if _E164.fullmatch(number) else None
