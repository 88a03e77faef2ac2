"""What becomes of a call between two of the lab's phones, if nobody deletes it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.soak_settings import Times
from state.call import DisconnectionReason as Reason

PHONES = (
    "00", "01", "02", "10", "11", "12", "13", "14", "15", "20", "21", "22", "23", "24", "25", "26", "27",
)  # fmt: skip
"""The lab's number plan: every behaviour of its phones."""
RINGS, SILENT, HAS_EARLY_MEDIA, HANGS_UP, HOLDS, MUTE = "11", "15", "20", "21", "22", "26"
TONES = frozenset({"01", "02", "20", "24", "25", "27"})
"""Those that play a tone without a pause."""
_BUSY = Reason.CALLER_BUSY, Reason.CALLEE_BUSY
_NO_ANSWER = Reason.CALLER_NO_ANSWER, Reason.CALLEE_NO_ANSWER
_FAILURE = Reason.CALLER_FAILURE, Reason.CALLEE_FAILURE
NEVER_ANSWERS = {
    "10": _BUSY,
    "12": _BUSY,
    RINGS: _NO_ANSWER,
    SILENT: _NO_ANSWER,
    "13": _FAILURE,
    "14": _FAILURE,
}
"""And why that ends a call: of the caller, of the callee."""

RING, EARLY_MEDIA = 1.0, 3.0
"""Seconds before a phone answers."""
TALK_OF_HANGS_UP = 3.0
PROMPT = 4.0
"""Longer than any prompt of the project."""


@dataclass(frozen=True, slots=True)
class Course:
    """What the phones allow; times in seconds."""

    reasons: frozenset[Reason]
    lasts: float
    """From its creation to its end, at most, on a machine that is never late."""
    may_connect: bool = False
    talk: float = 0.0
    """Before it ends by itself, at least, once it is connected."""


def course(caller: str, callee: str, times: Times, *, prompts: bool = False) -> Course:
    """Of a call between the phones with these two digits at the end of their numbers.

    `prompts`: its enterprise has some for every occasion.
    """
    prompt = PROMPT if prompts else 0.0
    if caller in NEVER_ANSWERS:
        return Course(frozenset({NEVER_ANSWERS[caller][0]}), _wait(caller, times))
    abandon = frozenset({Reason.CALLER_ABANDON}) if caller == HANGS_UP else frozenset()
    before = _ring(caller) + prompt
    if callee in NEVER_ANSWERS:
        reasons = abandon | {NEVER_ANSWERS[callee][1]}
        return Course(reasons, before + _wait(callee, times) + prompt)
    before += _ring(callee)
    if HANGS_UP in {caller, callee}:
        return Course(abandon | {Reason.HANG_UP}, before + TALK_OF_HANGS_UP, may_connect=True)
    if MUTE in {caller, callee} and times.media < times.max_duration:
        # The engine looks at the packets four times in this time.
        lasts = before + 1.5 * times.media + prompt
        return Course(frozenset({Reason.OTHER}), lasts, may_connect=True, talk=times.media)
    talk = times.max_duration
    return Course(frozenset({Reason.OTHER}), before + talk, may_connect=True, talk=talk)


def _ring(phone: str) -> float:
    return EARLY_MEDIA if phone == HAS_EARLY_MEDIA else RING


def _wait(phone: str, times: Times) -> float:
    """For the answer of a phone that has none."""
    return {RINGS: times.no_answer, SILENT: times.no_progress}.get(phone, 0.0)
