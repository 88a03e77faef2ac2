"""What a soak wants to have met: a situation that never occurred was not tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from bench.log_lines import LogLines
from bench.soak_outcomes import PHONES, RINGS, SILENT
from bench.soak_settings import LONGEST, Times
from bench.soak_verdict import MARGIN, REFRESHED_AFTER, EndedCall, talked
from state.call import DisconnectionReason as Reason
from state.call import RecordingResult

MANY = 300
"""Calls, of which each situation is expected ten times and more."""
_IN_LOG = {
    "whispers": "call moved on: whispering",
    "explanations": "call moved on: explaining",
    "holds": "hold",
    "early media": "early media",
}


def situations(calls: Iterable[EndedCall], log: LogLines, times: Times) -> dict[str, int]:
    """How often each occurred."""
    counts = Counter({name: log.events[event] for name, event in _IN_LOG.items()})
    for name in ("no answer", "no progress", "maximum duration", "audio lost", "sessions refreshed", "dual"):
        counts[name] = 0
    for call in calls:
        counts.update(_of(call, times))
    return dict(counts)


def missing(counts: Mapping[str, int], *, calls: int, times: Times, phones: Collection[str]) -> list[str]:
    """The situations that a soak of so many calls should have met and has not."""
    if calls < MANY or times.longest < LONGEST or not set(phones) >= set(PHONES):
        return []
    return [name for name, count in counts.items() if not count]


def _of(call: EndedCall, times: Times) -> Iterable[str]:
    if (record := call.record) is None:
        return
    if record.reason in (Reason.CALLER_NO_ANSWER, Reason.CALLEE_NO_ANSWER):
        phone = call.placed.caller if record.reason is Reason.CALLER_NO_ANSWER else call.placed.callee
        if phone in (RINGS, SILENT):
            yield "no answer" if phone == RINGS else "no progress"
    if record.reason is Reason.OTHER:
        whole = talked(record) >= times.max_duration - MARGIN
        yield "maximum duration" if whole else "audio lost"
    if talked(record) > REFRESHED_AFTER:
        yield "sessions refreshed"
    if record.recording_result is RecordingResult.SUCCESS and record.recording_channels == "dual":
        yield "dual"
