"""Reading what the engine needs from SIP messages as text (RFC 3261 syntax)."""

from __future__ import annotations

import re

_CALL_ID = re.compile(r"^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_REASON = re.compile(r"^Reason[ \t]*:[ \t]*(.+?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_Q850_CAUSE = re.compile(r"(?:^|,)\s*Q\.850\s*;[^,]*?\bcause\s*=\s*(\d{1,3})\b", re.IGNORECASE)


def header_section(message: str) -> str:
    return message.split("\r\n\r\n", 1)[0]


def sip_call_id(message: str) -> str | None:
    """The Call-ID header, long or compact form."""
    match = _CALL_ID.search(header_section(message))
    return match[1] if match else None


def q850_cause(message: str) -> int | None:
    """The cause of a `Reason: Q.850` header value (RFC 3326), if there is one within 1..127."""
    for header in _REASON.finditer(header_section(message)):
        if cause := _Q850_CAUSE.search(header[1]):
            value = int(cause[1])
            return value if 1 <= value <= 127 else None
    return None
