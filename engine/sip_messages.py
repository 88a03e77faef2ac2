"""Reading what the engine needs from SIP messages as text (RFC 3261 syntax)."""

from __future__ import annotations

import re
from collections.abc import Collection

_CALL_ID = re.compile(r"^(?:Call-ID|i)[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
STATIC_PAYLOAD_TYPES = {"0": "PCMU", "3": "GSM", "8": "PCMA", "9": "G722", "18": "G729"}
"""Those that need no a=rtpmap (RFC 3551, section 6)."""
_AUDIO_FORMATS = re.compile(r"^m=audio \S+ \S+ (.*)", re.MULTILINE)
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([^/\s]+)", re.MULTILINE)
_AUDIO_HEAD = re.compile(r"^m=audio .*\n(?:[icbk]=.*\n)*", re.MULTILINE)
"""The stream's lines before its attributes (RFC 8866, section 9)."""
_REASON = re.compile(r"^Reason[ \t]*:[ \t]*(.+?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_Q850_CAUSE = re.compile(r"(?:^|,)\s*Q\.850\s*;[^,]*?\bcause\s*=\s*(\d{1,3})\b", re.IGNORECASE)
_CONTACTS = re.compile(r"^(?:Contact|m)[ \t]*:(.*?)\r?$", re.IGNORECASE | re.MULTILINE)
_QUOTED = r'"(?:\\.|[^"\\])*"'
_CONTACT = re.compile(
    rf"\s*(?:(?:{_QUOTED}|[^\"<,])*<(?P<uri>[^>]*)>|(?P<bare>[^\s\"<>,;]+))(?P<parameters>(?:{_QUOTED}|[^\",])*)(?:,|$)"
)
_Q = re.compile(r";\s*q\s*=\s*(1(?:\.0{0,3})?|0(?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)
_FOLD = re.compile(r"\r\n[ \t]+")
_BLANK_LINE = re.compile(r"\r?\n\r?\n")
_INFO = re.compile(r"\bINFO \S+ SIP/2\.0|^CSeq[ \t]*:[ \t]*\d+[ \t]+INFO\b", re.IGNORECASE | re.MULTILINE)
_TOLD = re.compile(r"(?<=\bSignal)\b.*|^[0-9A-D*# \t]+(?=\r?$)", re.IGNORECASE | re.MULTILINE)
"""In an INFO: `Signal=5` (application/dtmf-relay), or the digit alone (application/dtmf)."""


def header_section(message: str) -> str:
    """Each header on one line."""
    return _FOLD.sub(" ", message.split("\r\n\r\n", 1)[0])


def sip_call_id(message: str) -> str | None:
    """The Call-ID header, long or compact form."""
    match = _CALL_ID.search(header_section(message))
    return match[1] if match else None


def without_digits(message: str) -> str:
    """`message` with an `x` for whatever names a digit in the body of an INFO; its length stays."""
    blank = _BLANK_LINE.search(message)
    if blank is None or not _INFO.search(message, 0, blank.start()):
        return message
    body = _TOLD.sub(lambda told: re.sub(r"[^\s=:]", "x", told[0]), message[blank.end() :])
    return message[: blank.end()] + body


def with_ptime(sdp: str, ptime: int) -> str:
    """`sdp` with an a=ptime for its audio, in milliseconds, unless it has one."""
    if "\na=ptime:" in sdp:
        return sdp
    return _AUDIO_HEAD.sub(rf"\g<0>a=ptime:{ptime}\r\n", sdp, count=1)


def offers_codec(sdp: str, codecs: Collection[str]) -> bool:
    """Whether the audio stream of `sdp` has one of `codecs`, by their encoding names (RFC 4855)."""
    stream = _AUDIO_FORMATS.search(sdp)
    if stream is None:
        return False
    known = {name.lower() for name in codecs}
    names = STATIC_PAYLOAD_TYPES | dict(_RTPMAP.findall(sdp))
    return any(names.get(kind, "").lower() in known for kind in stream[1].split())


def q850_cause(message: str) -> int | None:
    """The cause of a `Reason: Q.850` header value (RFC 3326), if there is one within 1..127."""
    for header in _REASON.finditer(header_section(message)):
        if cause := _Q850_CAUSE.search(header[1]):
            value = int(cause[1])
            return value if 1 <= value <= 127 else None
    return None


def contact_uris(message: str) -> list[str]:
    """The URIs of all Contact headers, those with the highest q first (RFC 3261, section 20.10)."""
    found = []
    for header in _CONTACTS.finditer(header_section(message)):
        for contact in _CONTACT.finditer(header[1]):
            q = _Q.search(contact["parameters"])
            found.append((float(q[1]) if q else 1.0, contact["uri"] or contact["bare"]))
    return [uri for _, uri in sorted(found, key=lambda preferred: -preferred[0]) if uri]
