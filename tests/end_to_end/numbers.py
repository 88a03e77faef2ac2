"""Fresh numbers, so that tests on one stack never meet."""

from __future__ import annotations

from itertools import count

_next = count(1)


def fresh_number(ending: str = "00") -> str:
    """`ending`: what the phones of the lab and of the scenarios behave by; 00 is none's speciality."""
    return f"+4477{next(_next):0{8 - len(ending)}}{ending}"
