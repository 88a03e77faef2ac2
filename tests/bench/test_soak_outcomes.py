"""What the soak allows between two phones."""

from __future__ import annotations

import pytest

from bench.soak_outcomes import PHONES, course
from bench.soak_settings import Times
from bench.soak_verdict import LATE
from state.call import DisconnectionReason as Reason

TIMES = Times()


@pytest.mark.parametrize(
    ("caller", "callee", "reasons"),
    [
        ("10", "01", {Reason.CALLER_BUSY}),
        ("11", "10", {Reason.CALLER_NO_ANSWER}),
        ("14", "15", {Reason.CALLER_FAILURE}),
        ("02", "12", {Reason.CALLEE_BUSY}),
        ("24", "15", {Reason.CALLEE_NO_ANSWER}),
        ("25", "13", {Reason.CALLEE_FAILURE}),
        ("21", "11", {Reason.CALLER_ABANDON, Reason.CALLEE_NO_ANSWER}),
        ("21", "01", {Reason.CALLER_ABANDON, Reason.HANG_UP}),
        ("01", "21", {Reason.HANG_UP}),
        ("26", "02", {Reason.OTHER}),
        ("20", "27", {Reason.OTHER}),
    ],
)
def test_by_itself_a_call_ends_as_its_phones_allow(caller: str, callee: str, reasons: set[Reason]) -> None:
    assert course(caller, callee, TIMES).reasons == reasons


def test_only_two_phones_that_answer_are_ever_connected() -> None:
    answer = {"00", "01", "02", "20", "21", "22", "23", "24", "25", "26", "27"}
    for caller in PHONES:
        for callee in PHONES:
            assert course(caller, callee, TIMES).may_connect is ({caller, callee} <= answer)


def test_every_timer_can_fire_before_the_longest_call_is_deleted() -> None:
    for caller, callee in (
        ("11", "01"),
        ("01", "11"),
        ("15", "01"),
        ("01", "15"),
        ("26", "01"),
        ("01", "02"),
    ):
        assert course(caller, callee, TIMES, prompts=True).lasts <= TIMES.longest


def test_a_timer_that_does_not_fire_is_seen_in_a_usual_call() -> None:
    for caller, callee in (("11", "01"), ("01", "11"), ("15", "01"), ("01", "15"), ("26", "01")):
        assert course(caller, callee, TIMES).lasts + LATE < TIMES.usual


def test_usual_calls_meet_all_but_the_maximum_duration() -> None:
    assert max(TIMES.no_answer, TIMES.no_progress, TIMES.media) < TIMES.usual < TIMES.max_duration
