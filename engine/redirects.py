"""Where a 3xx response may lead: nowhere that the call could not have dialled in the first place."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from policy.rules import E164, NumberRules, Origin, Party, Refusal, Rule

_SIP = re.compile(
    r"sips?:(?P<number>[^;:@]+)(?:;[^@]*)?@(?P<host>\[[^\]]+\]|[^:;?]+)(?:[:;?]|$)", re.IGNORECASE
)
_TEL = re.compile(r"tel:(?P<number>[^;]+)", re.IGNORECASE)
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")
"""They mean nothing (RFC 3966, section 5.1.1)."""


def permitted_number(
    targets: Iterable[str],
    *,
    party: Party,
    trunk_hosts: Collection[str],
    rules: NumberRules,
    taken: Collection[str],
    recording: bool,
    refused: Callable[[str, Refusal], None],
) -> str | None:
    """The first E.164 number among `targets` (URIs, the preferred first) that this call may dial.

    It must be reached through our trunk (its host, or none), not be one of `taken` (both parties, and where
    this call was before), pass the same rules as the number that was asked for, and allow recording if the
    call is recorded. `refused` hears of each number that policy refuses.
    """
    for target in targets:
        number = _number(target, trunk_hosts)
        if number is None or number in taken:
            continue
        refusal = rules.check(number, party)
        if refusal is None and recording and number in rules.platform.no_recording:
            refusal = Refusal(Rule.RECORDING, Origin.PLATFORM, party)
        if refusal is None:
            return number
        refused(number, refusal)
    return None


def _number(target: str, trunk_hosts: Collection[str]) -> str | None:
    """The E.164 number of a sip, sips or tel URI that leads to our trunk."""
    found = _SIP.match(target)
    if found is not None and found["host"].lower() not in trunk_hosts:
        return None
    if (found := found or _TEL.match(target)) is None:
        return None
    number = found["number"].translate(_VISUAL_SEPARATORS)
    return number if E164.fullmatch(number) else None
