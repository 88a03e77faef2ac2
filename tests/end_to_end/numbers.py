"""Fresh numbers, so that tests on one stack never meet."""

from __future__ import annotations

from itertools import count

_next = count(1)


def fresh_number(ending: str = "") -> str:
    return f"+4477{next(_next):0{8 - len(ending)}}{ending}"
