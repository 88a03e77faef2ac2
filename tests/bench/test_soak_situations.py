"""A soak says which situations it has met, and misses those that it has not."""

from __future__ import annotations

from dataclasses import replace

from bench.log_lines import LogLines
from bench.soak_outcomes import PHONES
from bench.soak_settings import Times
from bench.soak_situations import MANY, missing, situations
from state.call import DisconnectionReason as Reason
from tests.bench.ended_calls import REFRESHES, ended, record, recorded

TIMES = Times()
LOG = LogLines(
    f"2026-01-01T00:00:00Z [info     ] {event:30} process=engine"
    for event in (
        "call moved on                  phase=whispering",
        "call moved on                  phase=explaining",
        "hold                           leg=caller",
        "early media                    flows=True",
    )
)
CALLS = [
    ended(record(talk=None, reason=Reason.CALLEE_NO_ANSWER), callee="11"),
    ended(record(talk=None, reason=Reason.CALLER_NO_ANSWER), caller="15"),
    ended(record(talk=12.0, reason=Reason.OTHER), callee="26"),
    replace(ended(record(talk=48.0, reason=Reason.OTHER)), sip=REFRESHES),
    recorded(peaks=(0.25, 0.25), recording_channels="dual"),
]


def test_each_is_counted() -> None:
    assert situations(CALLS, LOG, TIMES) == {
        "whispers": 1,
        "explanations": 1,
        "holds": 1,
        "early media": 1,
        "no answer": 1,
        "no progress": 1,
        "maximum duration": 1,
        "audio lost": 1,
        "sessions refreshed": 1,
        "dual": 1,
    }


def test_what_a_long_soak_has_not_met_is_missing() -> None:
    counts = situations(CALLS[1:], LOG, TIMES)
    assert missing(counts, calls=MANY, times=TIMES, phones=PHONES) == ["no answer"]


def test_a_short_soak_need_not_meet_everything() -> None:
    counts = situations([], LogLines([]), TIMES)
    assert len(missing(counts, calls=MANY, times=TIMES, phones=PHONES)) == len(counts)
    assert missing(counts, calls=MANY - 1, times=TIMES, phones=PHONES) == []
    assert missing(counts, calls=MANY, times=Times(10.0), phones=PHONES) == []
    assert missing(counts, calls=MANY, times=TIMES, phones=("01", "02")) == []
