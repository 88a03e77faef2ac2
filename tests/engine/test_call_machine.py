"""The life of a call, decision by decision. Each test reads as a row of the design."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import signals as sig
from engine.call_machine import CallLimits, CallMachine, Phase
from engine.signals import Action, Event, Leg, Timer
from state.call import CallState, RecordingResult
from state.call import DisconnectionReason as Reason

START = datetime(2026, 1, 1, tzinfo=UTC)
CALLER, CALLEE = Leg.CALLER, Leg.CALLEE

TO_CALLING_CALLER: list[Event] = [sig.DialRequested()]
TO_CALLING_CALLEE: list[Event] = [*TO_CALLING_CALLER, sig.LegRinging(CALLER), sig.LegAnswered(CALLER)]
TO_CONNECTED: list[Event] = [*TO_CALLING_CALLEE, sig.LegRinging(CALLEE), sig.LegAnswered(CALLEE)]


class Driven:
    """A machine fed one event a second."""

    def __init__(self, *events: Event, recording: bool = False) -> None:
        self.machine = CallMachine(CallLimits(no_answer=45, max_duration=600), recording=recording)
        self.now = START
        self.actions: list[Action] = []
        for event in events:
            self.feed(event)

    def feed(self, event: Event) -> list[Action]:
        self.now += timedelta(seconds=1)
        actions = self.machine.handle(event, self.now)
        self.actions += actions
        return actions

    @property
    def published(self) -> list[sig.Publish]:
        return [action for action in self.actions if isinstance(action, sig.Publish)]

    @property
    def outcome(self) -> sig.Publish:
        (terminal,) = [step for step in self.published if step.state.is_terminal]
        return terminal


def test_the_caller_is_dialled_first_and_alone() -> None:
    actions = Driven(*TO_CALLING_CALLER).actions
    assert [a for a in actions if isinstance(a, sig.Dial)] == [sig.Dial(CALLER)]
    assert sig.StartTimer(Timer.NO_ANSWER, 45) in actions


def test_the_callee_is_dialled_when_the_caller_has_answered_and_the_caller_hears_ringback() -> None:
    call = Driven(*TO_CALLING_CALLER)
    assert call.feed(sig.LegRinging(CALLER)) == []
    actions = call.feed(sig.LegAnswered(CALLER))
    assert sig.Dial(CALLEE) in actions
    assert sig.PlayRingback() in actions
    assert sig.StartTimer(Timer.NO_ANSWER, 45) in actions


def test_ringback_stops_before_the_legs_are_joined() -> None:
    actions = Driven(*TO_CALLING_CALLEE).feed(sig.LegAnswered(CALLEE))
    assert actions.index(sig.StopRingback()) < actions.index(sig.Bridge())
    assert sig.StopTimer(Timer.NO_ANSWER) in actions
    assert sig.StartTimer(Timer.MAX_DURATION, 600) in actions


@pytest.mark.parametrize("recording", [True, False])
def test_only_a_call_that_asked_for_it_is_recorded_and_only_once_connected(recording: bool) -> None:
    call = Driven(*TO_CALLING_CALLEE, recording=recording)
    assert sig.StartRecording() not in call.actions
    assert (sig.StartRecording() in call.feed(sig.LegAnswered(CALLEE))) is recording


def test_states_are_published_in_order() -> None:
    call = Driven(*TO_CONNECTED, sig.LegEnded(CALLER, 200))
    assert [step.state for step in call.published] == [
        CallState.CALLING_CALLER,
        CallState.CALLING_CALLEE,
        CallState.CONNECTED,
        CallState.DISCONNECTED,
    ]


ROWS = [
    ("caller busy", TO_CALLING_CALLER, sig.LegEnded(CALLER, 486), Reason.CALLER_BUSY),
    ("caller declines", TO_CALLING_CALLER, sig.LegEnded(CALLER, 603), Reason.CALLER_BUSY),
    ("caller's network: Q.850 17", TO_CALLING_CALLER, sig.LegEnded(CALLER, 500, 17), Reason.CALLER_BUSY),
    ("caller unavailable", TO_CALLING_CALLER, sig.LegEnded(CALLER, 480), Reason.CALLER_NO_ANSWER),
    ("caller's phone is silent", TO_CALLING_CALLER, sig.LegEnded(CALLER, 408), Reason.CALLER_NO_ANSWER),
    ("caller lets it ring", TO_CALLING_CALLER, sig.TimerFired(Timer.NO_ANSWER), Reason.CALLER_NO_ANSWER),
    ("caller unknown", TO_CALLING_CALLER, sig.LegEnded(CALLER, 404), Reason.CALLER_FAILURE),
    ("trunk fails for the caller", TO_CALLING_CALLER, sig.LegEnded(CALLER, 503), Reason.CALLER_FAILURE),
    ("caller gives up", TO_CALLING_CALLEE, sig.LegEnded(CALLER, 200), Reason.CALLER_ABANDON),
    ("callee busy", TO_CALLING_CALLEE, sig.LegEnded(CALLEE, 486), Reason.CALLEE_BUSY),
    ("callee declines", TO_CALLING_CALLEE, sig.LegEnded(CALLEE, 603), Reason.CALLEE_BUSY),
    ("callee unavailable", TO_CALLING_CALLEE, sig.LegEnded(CALLEE, 480), Reason.CALLEE_NO_ANSWER),
    ("callee lets it ring", TO_CALLING_CALLEE, sig.TimerFired(Timer.NO_ANSWER), Reason.CALLEE_NO_ANSWER),
    ("callee unknown", TO_CALLING_CALLEE, sig.LegEnded(CALLEE, 404), Reason.CALLEE_FAILURE),
    ("caller hangs up", TO_CONNECTED, sig.LegEnded(CALLER, 200), Reason.HANG_UP),
    ("callee hangs up", TO_CONNECTED, sig.LegEnded(CALLEE, 200), Reason.HANG_UP),
    ("too long", TO_CONNECTED, sig.TimerFired(Timer.MAX_DURATION), Reason.OTHER),
    ("engine stops", TO_CONNECTED, sig.EngineStopping(), Reason.OTHER),
    ("DELETE before dialling", [], sig.ReleaseRequested(), Reason.HANG_UP),
    ("DELETE while calling the caller", TO_CALLING_CALLER, sig.ReleaseRequested(), Reason.HANG_UP),
    ("DELETE while calling the callee", TO_CALLING_CALLEE, sig.ReleaseRequested(), Reason.HANG_UP),
    ("DELETE while connected", TO_CONNECTED, sig.ReleaseRequested(), Reason.HANG_UP),
]


@pytest.mark.parametrize(
    ("history", "event", "reason"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_how_a_call_ends(history: list[Event], event: Event, reason: Reason) -> None:
    call = Driven(*history, event)
    assert (call.outcome.state, call.outcome.reason) == (CallState.DISCONNECTED, reason)
    assert call.outcome.duration == (1 if history is TO_CONNECTED else 0)


@pytest.mark.parametrize("event", [sig.EngineStopping(), sig.InternalError()])
@pytest.mark.parametrize("history", [[], TO_CALLING_CALLER, TO_CALLING_CALLEE])
def test_what_no_phone_said_is_a_failure_without_reason_or_duration(
    history: list[Event], event: Event
) -> None:
    outcome = Driven(*history, event).outcome
    assert (outcome.state, outcome.reason, outcome.duration) == (CallState.FAILED, None, None)


@pytest.mark.parametrize(
    ("history", "legs"),
    [(TO_CALLING_CALLER, {CALLER}), (TO_CALLING_CALLEE, {CALLER, CALLEE}), (TO_CONNECTED, {CALLER, CALLEE})],
)
def test_delete_ends_every_leg_that_was_dialled(history: list[Event], legs: set[Leg]) -> None:
    actions = Driven(*history).feed(sig.ReleaseRequested())
    assert {action.leg for action in actions if isinstance(action, sig.HangUp)} == legs


def test_an_answer_that_crosses_our_cancel_is_hung_up() -> None:
    call = Driven(*TO_CALLING_CALLEE, sig.ReleaseRequested())
    assert call.feed(sig.LegAnswered(CALLEE)) == [sig.HangUp(CALLEE)]


def test_both_parties_hanging_up_at_once_give_one_outcome() -> None:
    call = Driven(*TO_CONNECTED, sig.LegEnded(CALLER, 200), sig.LegEnded(CALLEE, 200))
    assert call.outcome.reason is Reason.HANG_UP
    assert call.actions[-1] == sig.Forget()


def test_the_outcome_does_not_wait_for_the_other_leg_s_bye() -> None:
    call = Driven(*TO_CONNECTED, sig.LegEnded(CALLER, 200))
    assert call.outcome.reason is Reason.HANG_UP
    assert sig.Forget() not in call.actions
    assert call.feed(sig.LegEnded(CALLEE, 200)) == [sig.Forget()]


def test_the_outcome_waits_for_the_recording() -> None:
    call = Driven(*TO_CONNECTED, sig.ReleaseRequested(), recording=True)
    assert sig.StopRecording() in call.actions
    assert not any(step.state.is_terminal for step in call.published)
    call.feed(sig.RecordingFinished("2026-01-01/x.wav"))
    assert call.outcome.recording_result is RecordingResult.SUCCESS
    assert call.outcome.recording_path == "2026-01-01/x.wav"
    assert call.outcome.at == START + timedelta(seconds=len(TO_CONNECTED) + 1)


@pytest.mark.parametrize("event", [sig.RecordingFinished(None), sig.TimerFired(Timer.FINALISE)])
def test_a_recording_that_cannot_be_stored_is_reported_as_failed(event: Event) -> None:
    call = Driven(*TO_CONNECTED, sig.ReleaseRequested(), event, recording=True)
    assert (call.outcome.recording_result, call.outcome.recording_path) == (RecordingResult.FAIL, None)


def test_a_recorder_that_does_not_start_leaves_the_call_untouched() -> None:
    call = Driven(*TO_CONNECTED, sig.RecordingFailed(), recording=True)
    assert call.machine.phase is Phase.CONNECTED
    call.feed(sig.ReleaseRequested())
    assert (call.outcome.reason, call.outcome.recording_result) == (Reason.HANG_UP, RecordingResult.FAIL)


def test_a_call_never_connected_has_no_record() -> None:
    outcome = Driven(*TO_CALLING_CALLEE, sig.LegEnded(CALLEE, 486), recording=True).outcome
    assert outcome.recording_result is RecordingResult.NO_RECORD


def test_whoever_lost_the_call_hangs_up_and_says_nothing() -> None:
    call = Driven(*TO_CONNECTED)
    before = len(call.published)
    actions = call.feed(sig.OwnershipLost())
    assert {sig.HangUp(CALLER), sig.HangUp(CALLEE)} <= set(actions)
    call.feed(sig.LegEnded(CALLER, 200))
    assert call.feed(sig.LegEnded(CALLEE, 200)) == [sig.Forget()]
    assert len(call.published) == before


def test_a_timer_that_fires_late_changes_nothing() -> None:
    call = Driven(*TO_CONNECTED)
    assert call.feed(sig.TimerFired(Timer.NO_ANSWER)) == []


def test_a_clock_set_back_does_not_make_the_duration_negative() -> None:
    call = Driven(*TO_CONNECTED)
    call.now -= timedelta(hours=1)
    call.feed(sig.ReleaseRequested())
    assert call.outcome.duration == 0


legs = st.sampled_from(Leg)
events = st.one_of(
    st.builds(sig.LegRinging, legs),
    st.builds(sig.LegAnswered, legs),
    st.builds(
        sig.LegEnded, legs, st.sampled_from([200, 404, 408, 486, 487, 503]), st.sampled_from([None, 16, 17])
    ),
    st.just(sig.ReleaseRequested()),
    st.builds(sig.TimerFired, st.sampled_from(Timer)),
    st.just(sig.RecordingFailed()),
    st.builds(sig.RecordingFinished, st.sampled_from([None, "a.wav"])),
    st.just(sig.EngineStopping()),
    st.just(sig.InternalError()),
    st.just(sig.OwnershipLost()),
)


@given(st.lists(events, max_size=30), st.booleans())
def test_whatever_happens_a_call_ends_once_and_leaves_nothing_up(
    history: list[Event], recording: bool
) -> None:
    call = Driven(sig.DialRequested(), *history, recording=recording)
    dialled = {action.leg for action in call.actions if isinstance(action, sig.Dial)}
    call.feed(sig.ReleaseRequested())
    call.feed(sig.RecordingFinished("a.wav"))
    for leg in Leg:
        call.feed(sig.LegEnded(leg, 200))

    terminal = [step for step in call.published if step.state.is_terminal]
    lost = sig.OwnershipLost() in history
    assert len(terminal) <= 1 if lost else len(terminal) == 1
    assert not terminal or call.published[-1] == terminal[0]
    over = {event.leg for event in history if isinstance(event, sig.LegEnded)}
    hung_up = {action.leg for action in call.actions if isinstance(action, sig.HangUp)}
    assert dialled <= over | hung_up
    running = set[Timer]()
    for action in call.actions:
        match action:
            case sig.StartTimer(timer):
                running.add(timer)
            case sig.StopTimer(timer):
                running.discard(timer)
    assert not running
    assert sig.Forget() in call.actions
