"""The design's table of reasons, row by row."""

import pytest

from engine.causes import Cause, classify, reason_for
from engine.signals import Leg
from state.call import DisconnectionReason as Reason


@pytest.mark.parametrize("status", [486, 600, 603])
def test_busy_statuses(status: int) -> None:
    assert classify(status) is Cause.BUSY


@pytest.mark.parametrize("status", [408, 480])
def test_no_answer_statuses(status: int) -> None:
    assert classify(status) is Cause.NO_ANSWER


@pytest.mark.parametrize("status", [302, 401, 403, 404, 410, 484, 487, 488, 500, 502, 503, 504, 604, 606])
def test_every_other_final_response_is_a_failure(status: int) -> None:
    assert classify(status) is Cause.FAILURE


@pytest.mark.parametrize("q850", [17, 21])
@pytest.mark.parametrize("status", [404, 480, 500, 503])
def test_q850_busy_wins_over_the_status(status: int, q850: int) -> None:
    assert classify(status, q850) is Cause.BUSY


@pytest.mark.parametrize("q850", [18, 19, 20])
@pytest.mark.parametrize("status", [404, 486, 500, 603])
def test_q850_no_answer_wins_over_the_status(status: int, q850: int) -> None:
    assert classify(status, q850) is Cause.NO_ANSWER


@pytest.mark.parametrize("q850", [1, 3, 27, 34, 38, 41])
@pytest.mark.parametrize("status", [408, 480, 486])
def test_q850_failure_wins_over_the_status(status: int, q850: int) -> None:
    assert classify(status, q850) is Cause.FAILURE


@pytest.mark.parametrize("q850", [16, 31, 127])
@pytest.mark.parametrize(
    ("status", "cause"), [(486, Cause.BUSY), (480, Cause.NO_ANSWER), (404, Cause.FAILURE)]
)
def test_a_q850_cause_that_says_nothing_leaves_the_decision_to_the_status(
    status: int, cause: Cause, q850: int
) -> None:
    assert classify(status, q850) is cause


@pytest.mark.parametrize(
    ("leg", "cause", "reason"),
    [
        (Leg.CALLER, Cause.BUSY, Reason.CALLER_BUSY),
        (Leg.CALLER, Cause.NO_ANSWER, Reason.CALLER_NO_ANSWER),
        (Leg.CALLER, Cause.FAILURE, Reason.CALLER_FAILURE),
        (Leg.CALLEE, Cause.BUSY, Reason.CALLEE_BUSY),
        (Leg.CALLEE, Cause.NO_ANSWER, Reason.CALLEE_NO_ANSWER),
        (Leg.CALLEE, Cause.FAILURE, Reason.CALLEE_FAILURE),
    ],
)
def test_each_leg_has_its_own_reasons(leg: Leg, cause: Cause, reason: Reason) -> None:
    assert reason_for(leg, cause) is reason
