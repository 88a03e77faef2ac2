"""Where a 3xx response may lead: nowhere that the call could not have dialled in the first place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from config.settings import PolicySettings

_NUMBER = re.compile(
    r"^\s*<?(?:sips?:(?P<user>\+[1-9][0-9]{4,14})(?:;[^@>]*)?@(?P<host>\[[^\]]+\]|[^:;>?]+)|tel:(?P<tel>\+[1-9][0-9]{4,14}))(?=[:;>?]|$)"
)


def permitted_number(
    targets: Iterable[str],
    *,
    trunk_hosts: Collection[str],
    policy: PolicySettings,
    taken: Collection[str],
    recording: bool,
) -> str | None:
    """The first E.164 number among `targets` (SIP or tel URIs, preferred first) that this call may dial.

    It must be reached through our trunk (its host, or none), be on no blacklist, not be one of `taken` (both
    parties, and where this call was before), and allow recording if the call is recorded.
    """
    for target in targets:
        found = _NUMBER.match(target)
        if found is None or (found["host"] and found["host"].lower() not in trunk_hosts):
            continue
        number = found["user"] or found["tel"]
        if number in taken or number in policy.blacklist:
            continue
        if recording and number in policy.no_recording:
            continue
        return number
    return None
