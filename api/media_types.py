"""Which representation a client likes best (RFC 9110, section 12.5.1: Accept)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105
_MEDIA_RANGE = re.compile(rf"({_TOKEN})/({_TOKEN})")
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """The one of `offered`, best first, that an Accept header prefers; None if it takes none of them.

    Without the header (""), or if nothing in it can be understood, the client takes anything. Of a media
    range's parameters only the weight counts.
    """
    ranges = dict(filter(None, map(_media_range, accept.lower().split(","))))
    if not ranges:
        return offered[0]
    best = max(offered, key=lambda media_type: _weight(media_type, ranges))  # the first of several
    return best if _weight(best, ranges) > 0 else None


def _media_range(element: str) -> tuple[str, float] | None:
    name, *parameters = (part.strip() for part in element.split(";"))
    if _MEDIA_RANGE.fullmatch(name) is None:
        return None
    for parameter in parameters:
        if parameter.startswith("q="):
            weight = _WEIGHT.fullmatch(parameter)
            return (name, float(weight[1])) if weight else None
    return name, 1.0


def _weight(media_type: str, ranges: dict[str, float]) -> float:
    """The most specific range decides."""
    kind, _, _ = media_type.partition("/")
    return next((ranges[one] for one in (media_type, f"{kind}/*", "*/*") if one in ranges), 0.0)
