"""The torture messages of RFC 4475 and, for IPv6, RFC 5118, each in a file named as the RFC names it.

The files are in the RFC's own notation (RFC 4475, section 2): a line ends with CRLF, `<allOneLine>` joins
lines, `<hex>` stands for octets and `<repeat count=N>` for so many copies.
"""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_TOKEN = re.compile(
    r"<hex>(?P<hex>[0-9A-Fa-f\n]*)</hex>|<repeat count=(?P<count>\d+)>(?P<copy>.*?)</repeat>", re.S
)
_ONE_LINE = re.compile(r"<allOneLine>\n(.*?)\n</allOneLine>", re.S)


def expand(notation: str) -> bytes:
    """The octets of a message."""
    return b"".join(
        _octets(part) if at % 2 == 0 else _expand_tags(part.replace("\n", ""))
        for at, part in enumerate(_ONE_LINE.split(notation))
    )


def _octets(text: str) -> bytes:
    return _expand_tags(text).replace(b"\n", b"\r\n")


def _expand_tags(text: str) -> bytes:
    expanded, end = b"", 0
    for token in _TOKEN.finditer(text):
        expanded += text[end : token.start()].encode()
        if token["hex"] is not None:
            expanded += bytes.fromhex(token["hex"])
        else:
            expanded += int(token["count"]) * token["copy"].encode()
        end = token.end()
    return expanded + text[end:].encode()


def _read(rfc: str) -> dict[str, bytes]:
    return {file.stem: expand(file.read_text()) for file in sorted((_FOLDER / rfc).glob("*.txt"))}


RFC4475 = _read("rfc4475")
RFC5118 = _read("rfc5118")
