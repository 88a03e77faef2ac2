"""What a party heard, packet by packet, as a line of text that a regular expression can judge."""

from __future__ import annotations

import re
from itertools import groupby

from tests.support.audio import RATE, Samples, tone_level, total_level
from tests.support.lossy_path import LossyPath

FRAME = 0.02
"""Seconds of one letter: a packet of the engine."""
SIZE = round(FRAME * RATE)
SILENT = -50.0
"""dBFS."""
AUDIBLE = -26.0
"""dBFS of a tone; those of the tests and the engine have -8 to -12."""
SILENCE_AT_MOST = 0.3
"""Seconds without any sound while a caller waits: the requirement."""


def heard(samples: Samples, **tones: float) -> str:
    """One letter for each 20 ms: a tone (Hz) by name, `.` silence, `*` two tones at once, `?` anything else.

    Tones must be 200 Hz apart. Up to 40 ms missing within a tone count as heard: packets get lost.
    """
    line = "".join(_letter(samples[at : at + SIZE], tones) for at in range(0, len(samples) - SIZE + 1, SIZE))
    return bridged(line, 2)


def bridged(line: str, missing: int) -> str:
    """With up to `missing` letters of silence within a tone taken for the tone."""
    return re.sub(rf"([^.])(\.{{1,{missing}}})(?=\1)", lambda gap: gap[1] * (1 + len(gap[2])), line)


def _letter(frame: Samples, tones: dict[str, float]) -> str:
    if total_level(frame) < SILENT:
        return "."
    present = [letter for letter, frequency in tones.items() if tone_level(frame, frequency) > AUDIBLE]
    return present[0] if len(present) == 1 else "*" if present else "?"


def runs(line: str) -> list[tuple[str, float]]:
    """What `heard` returned as letters with the seconds that each lasted."""
    return [(letter, len(list(run)) * FRAME) for letter, run in groupby(line)]


def longest(letter: str, line: str) -> float:
    """Seconds of the longest run of a letter; 0 if there is none."""
    return max((seconds for known, seconds in runs(line) if known == letter), default=0.0)


def stations(text: str) -> str:
    """What was heard one after the other, without pauses and what is shorter than 0.1 s."""
    letters = [letter for letter, seconds in runs(text) if letter not in ".?" and seconds >= 0.1]
    return re.sub(r"(.)\1+", r"\1", "".join(letters))


def handed_over(former: str, latter: str, path: LossyPath | None) -> tuple[str, ...]:
    """Stations that may be heard when early media gives way to another source.

    Where the message that says so may be lost, ringback fills the time until its copy comes.
    """
    return (former + latter,) if path is None else (former + latter, f"{former}r{latter}")


def assert_never_two_and_never_silent(text: str, path: LossyPath | None) -> None:
    """`path`: what is made up for lost packets is not quite the tone."""
    assert longest("*", text) <= (0 if path is None else 0.1), text
    assert longest(".", text.lstrip(".")) <= SILENCE_AT_MOST, text
    assert longest("?", text) <= 0.1, text
