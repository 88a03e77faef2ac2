"""What a call detail record tells of each INVITE, from the machine's events and actions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine import signals as sig
from engine.attempts import Attempts
from engine.call_machine import CallMachine, CallRules
from engine.signals import Event, Leg, Timer
from state.attempts import LegAttempt

START = datetime(2026, 1, 1, tzinfo=UTC)
CALLER, CALLEE = Leg.CALLER, Leg.CALLEE
NUMBERS = {CALLER: "+447700900001", CALLEE: "+447700900002"}
CALLER_ANSWERS: list[Event] = [sig.DialRequested(), sig.LegProgress(CALLER, 180), sig.LegAnswered(CALLER)]
CONNECTED: list[Event] = [*CALLER_ANSWERS, sig.LegProgress(CALLEE, 183), sig.LegAnswered(CALLEE)]


def attempts(*events: Event) -> tuple[LegAttempt, ...]:
    """After these, one a second, the first at second 0."""
    machine = CallMachine(CallRules(), recording=False)
    tried = Attempts("carrier", NUMBERS)
    for second, event in enumerate(events):
        now = at(second)
        tried.hear(event, now)
        for action in machine.handle(event, now):
            tried.see(action, now)
    return tried.all


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def ending(attempt: LegAttempt) -> tuple[datetime | None, int | None, int | None, str | None]:
    return attempt.ended_at, attempt.sip_status, attempt.q850, attempt.ended_by


def test_each_party_s_times_and_who_hung_up() -> None:
    assert attempts(*CONNECTED, sig.LegEnded(CALLEE, 200)) == (
        LegAttempt(
            leg="caller",
            trunk="carrier",
            dialled=NUMBERS[CALLER],
            invited_at=at(0),
            ringing_at=at(1),
            answered_at=at(2),
            ended_at=at(5),
            sip_status=200,
            q850=16,
            ended_by="platform",
        ),
        LegAttempt(
            leg="callee",
            trunk="carrier",
            dialled=NUMBERS[CALLEE],
            invited_at=at(2),
            ringing_at=at(3),
            answered_at=at(4),
            ended_at=at(5),
            sip_status=200,
            q850=16,
            ended_by="party",
        ),
    )


@pytest.mark.parametrize(
    ("event", "status", "q850", "by"),
    [
        (sig.LegEnded(CALLER, 486), 486, 17, "party"),
        (sig.LegEnded(CALLER, 503, 34), 503, 34, "party"),
        (sig.LegEnded(CALLER, 408, by_us=True), 408, 102, "platform"),
        (sig.ReleaseRequested(), 487, 16, "platform"),
        (sig.TimerFired(Timer.NO_ANSWER), 487, 19, "platform"),
        (sig.EngineStopping(), 487, 41, "platform"),
        (sig.OwnershipLost(), 487, 41, "platform"),
    ],
)
def test_why_an_attempt_that_was_not_answered_ended(event: Event, status: int, q850: int, by: str) -> None:
    (attempt,) = attempts(sig.DialRequested(), event)
    assert (attempt.ringing_at, attempt.answered_at) == (None, None)
    assert ending(attempt) == (at(1), status, q850, by)


@pytest.mark.parametrize(
    ("event", "caller", "callee"),
    [
        (sig.LegEnded(CALLER, 200), (200, 16, "party"), (200, 16, "platform")),
        (sig.LegEnded(CALLER, 200, 27), (200, 27, "party"), (200, 27, "platform")),
        (sig.LegEnded(CALLEE, 481), (200, 41, "platform"), (481, 41, "party")),
        (sig.LegEnded(CALLEE, 408, by_us=True), (200, 102, "platform"), (408, 102, "platform")),
        (sig.MediaLost(CALLEE), (200, 41, "platform"), (200, 41, "platform")),
        (sig.TimerFired(Timer.MAX_DURATION), (200, 102, "platform"), (200, 102, "platform")),
    ],
)
def test_why_a_connected_leg_ended(
    event: Event, caller: tuple[int, int, str], callee: tuple[int, int, str]
) -> None:
    first, second = attempts(*CONNECTED, event)
    assert ending(first) == (at(5), *caller)
    assert ending(second) == (at(5), *callee)


def test_a_redirection_ends_one_attempt_and_begins_another() -> None:
    target = "+447700900003"
    _, first, second = attempts(
        *CALLER_ANSWERS,
        sig.LegProgress(CALLEE, 180),
        sig.LegRedirected(CALLEE, target, 302),
        sig.LegProgress(CALLEE, 180),
        sig.LegEnded(CALLEE, 486),
    )
    assert (first.dialled, first.ringing_at) == (NUMBERS[CALLEE], at(3))
    assert ending(first) == (at(4), 302, 31, "party")
    assert (second.dialled, second.invited_at, second.ringing_at) == (target, at(4), at(5))
    assert ending(second) == (at(6), 486, 17, "party")


def test_only_the_first_18x_before_the_answer_is_ringing() -> None:
    (caller, callee) = attempts(
        sig.DialRequested(),
        sig.LegProgress(CALLER, 100),
        sig.LegProgress(CALLER, 180),
        sig.LegProgress(CALLER, 183),
        sig.LegAnswered(CALLER),
        sig.LegProgress(CALLEE, 100),
        sig.LegAnswered(CALLEE),
        sig.LegProgress(CALLEE, 180),  # a re-INVITE's
    )
    assert (caller.ringing_at, callee.ringing_at) == (at(2), None)
    assert (caller.ended_at, callee.ended_at) == (None, None)


def test_an_answer_that_crosses_our_cancel_changes_nothing() -> None:
    cancelled = attempts(sig.DialRequested(), sig.ReleaseRequested())
    assert attempts(sig.DialRequested(), sig.ReleaseRequested(), sig.LegAnswered(CALLER)) == cancelled


def test_a_call_that_was_never_dialled_has_none() -> None:
    assert attempts(sig.ReleaseRequested()) == ()
