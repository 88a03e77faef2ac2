"""The life of a call, decision by decision. Each test reads as a row of the design."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import AnnouncementSettings
from engine import signals as sig
from engine.call_machine import CallMachine, CallRules, Phase
from engine.causes import Q850
from engine.signals import Action, AudioPlan, Event, Heard, Leg, Recorded, Timer
from state.call import CallState, RecordingResult
from state.call import DisconnectionReason as Reason

START = datetime(2026, 1, 1, tzinfo=UTC)
CALLER, CALLEE = Leg.CALLER, Leg.CALLEE

TO_CALLING_CALLER: list[Event] = [sig.DialRequested()]
TO_CALLING_CALLEE: list[Event] = [*TO_CALLING_CALLER, sig.LegProgress(CALLER), sig.LegAnswered(CALLER)]
TO_CONNECTED: list[Event] = [*TO_CALLING_CALLEE, sig.LegProgress(CALLEE), sig.LegAnswered(CALLEE)]


class Driven:
    """A machine fed one event a second."""

    def __init__(self, *events: Event, recording: bool = False, **rules: Any) -> None:
        self.machine = CallMachine(
            CallRules(no_answer=45, max_duration=600, no_progress=10, **rules), recording=recording
        )
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
    def audio(self) -> AudioPlan:
        """What is connected now."""
        plans = [action.plan for action in self.actions if isinstance(action, sig.SetAudio)]
        return plans[-1] if plans else sig.SILENCE

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
    assert call.feed(sig.LegProgress(CALLER)) == [sig.StopTimer(Timer.NO_PROGRESS)]
    actions = call.feed(sig.LegAnswered(CALLER))
    assert sig.Dial(CALLEE) in actions
    assert call.audio == AudioPlan(caller=Heard.RINGBACK)
    assert actions.index(sig.Dial(CALLEE)) < actions.index(sig.SetAudio(call.audio))
    assert sig.StartTimer(Timer.NO_ANSWER, 45) in actions


def test_the_parties_hear_each_other_once_both_have_answered() -> None:
    call = Driven(*TO_CALLING_CALLEE)
    actions = call.feed(sig.LegAnswered(CALLEE))
    assert call.audio == AudioPlan(Heard.OTHER_PARTY, Heard.OTHER_PARTY)
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
    ("caller answers no session refresh", TO_CONNECTED, sig.LegEnded(CALLER, 408), Reason.OTHER),
    ("callee knows nothing of the call any more", TO_CONNECTED, sig.LegEnded(CALLEE, 481), Reason.OTHER),
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
    assert call.feed(sig.LegAnswered(CALLEE)) == [sig.HangUp(CALLEE, Q850.NORMAL_CLEARING)]


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
    assert {action.leg for action in actions if isinstance(action, sig.HangUp)} == {CALLER, CALLEE}
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


PROMPTS = AnnouncementSettings(
    whisper="whisper", connect="connect", busy="busy", no_answer="no-answer", failed="failed", lost="lost"
)

LOST_ONLY = AnnouncementSettings(lost="lost")


def hung_up(actions: list[Action]) -> dict[Leg, int]:
    return {action.leg: action.q850 for action in actions if isinstance(action, sig.HangUp)}


# --- progress


def test_early_media_takes_the_place_of_ringback_and_gives_it_back() -> None:
    call = Driven(*TO_CALLING_CALLEE)
    call.feed(sig.EarlyMedia(CALLEE, flows=True))
    assert call.audio == AudioPlan(caller=Heard.OTHER_PARTY)
    call.feed(sig.EarlyMedia(CALLEE, flows=False))
    assert call.audio == AudioPlan(caller=Heard.RINGBACK)


def test_early_media_is_ignored_where_the_trunk_is_set_so() -> None:
    call = Driven(*TO_CALLING_CALLEE, play_early_media=False)
    assert call.feed(sig.EarlyMedia(CALLEE, flows=True)) == []


def test_a_silent_network_is_given_up_long_before_the_no_answer_timer() -> None:
    call = Driven(*TO_CALLING_CALLER)
    assert sig.StartTimer(Timer.NO_PROGRESS, 10) in call.actions
    actions = call.feed(sig.TimerFired(Timer.NO_PROGRESS))
    assert call.outcome.reason is Reason.CALLER_NO_ANSWER
    assert hung_up(actions) == {CALLER: Q850.NO_USER_RESPONDING}


def test_an_answer_ends_the_timers_of_its_leg() -> None:
    actions = Driven(*TO_CALLING_CALLEE).feed(sig.LegAnswered(CALLEE))
    assert {sig.StopTimer(Timer.NO_ANSWER), sig.StopTimer(Timer.NO_PROGRESS)} <= set(actions)


def test_a_late_100_of_the_caller_does_not_stop_the_callee_s_timer() -> None:
    assert Driven(*TO_CALLING_CALLEE).feed(sig.LegProgress(CALLER)) == []


# --- redirection


def test_a_redirection_is_followed_without_more_time_to_answer() -> None:
    call = Driven(*TO_CALLING_CALLEE)
    actions = call.feed(sig.LegRedirected(CALLEE, "+447700900001", 302))
    assert sig.Dial(CALLEE, "+447700900001") in actions
    assert sig.StartTimer(Timer.NO_PROGRESS, 10) in actions
    assert not any(isinstance(a, sig.StartTimer) and a.timer is Timer.NO_ANSWER for a in actions)
    assert call.audio == AudioPlan(caller=Heard.RINGBACK)


def test_redirections_are_counted_per_leg_and_end_as_a_failure() -> None:
    call = Driven(*TO_CALLING_CALLER, max_redirects=1)
    call.feed(sig.LegRedirected(CALLER, "+447700900001", 302))
    call.feed(sig.LegAnswered(CALLER))
    call.feed(sig.LegRedirected(CALLEE, "+447700900002", 302))
    assert call.machine.phase is Phase.CALLING_CALLEE
    call.feed(sig.LegRedirected(CALLEE, "+447700900003", 302))
    assert call.outcome.reason is Reason.CALLEE_FAILURE


def test_a_redirection_that_comes_after_the_end_dials_nobody() -> None:
    call = Driven(*TO_CALLING_CALLER, sig.ReleaseRequested())
    assert call.feed(sig.LegRedirected(CALLER, "+447700900001", 302)) == [sig.Forget()]


# --- prompts


def test_the_caller_hears_the_whisper_before_the_callee_is_dialled() -> None:
    call = Driven(*TO_CALLING_CALLER, announcements=PROMPTS)
    actions = call.feed(sig.LegAnswered(CALLER))
    assert sig.PlayPrompt("whisper") in actions
    assert sig.Dial(CALLEE) not in actions
    assert call.audio == AudioPlan(caller=Heard.PROMPT)
    assert [step.state for step in call.published] == [CallState.CALLING_CALLER]
    assert sig.Dial(CALLEE) in call.feed(sig.PromptFinished())
    assert call.audio == AudioPlan(caller=Heard.RINGBACK)


def test_a_caller_who_hangs_up_during_the_whisper_has_abandoned_the_call() -> None:
    call = Driven(*TO_CALLING_CALLER, sig.LegAnswered(CALLER), announcements=PROMPTS)
    call.feed(sig.LegEnded(CALLER, 200))
    assert call.outcome.reason is Reason.CALLER_ABANDON
    assert sig.Dial(CALLEE) not in call.actions


@pytest.mark.parametrize("in_recording", [True, False])
def test_both_hear_the_prompt_at_connect_and_then_each_other(in_recording: bool) -> None:
    prompts = AnnouncementSettings(connect="connect", connect_recorded=in_recording)
    call = Driven(*TO_CALLING_CALLEE, recording=True, announcements=prompts)
    actions = call.feed(sig.LegAnswered(CALLEE))
    recorded = Recorded.PROMPT if in_recording else Recorded.NOTHING
    assert call.audio == AudioPlan(Heard.PROMPT, Heard.PROMPT, recorded)
    assert (sig.StartRecording() in actions) is in_recording
    assert (sig.StartRecording() in call.feed(sig.PromptFinished())) is not in_recording
    assert call.audio == AudioPlan(Heard.OTHER_PARTY, Heard.OTHER_PARTY, Recorded.PARTIES)


def test_a_call_that_ends_before_its_recording_was_to_begin_has_none() -> None:
    prompts = AnnouncementSettings(connect="connect", connect_recorded=False)
    call = Driven(*TO_CONNECTED, sig.ReleaseRequested(), recording=True, announcements=prompts)
    assert call.outcome.recording_result is RecordingResult.NO_RECORD


def test_a_recorder_that_failed_is_not_tried_again_in_the_middle_of_the_call() -> None:
    prompts = AnnouncementSettings(connect="connect")
    call = Driven(*TO_CONNECTED, sig.RecordingFailed(), recording=True, announcements=prompts)
    assert sig.StartRecording() not in call.feed(sig.PromptFinished())
    call.feed(sig.ReleaseRequested())
    assert call.outcome.recording_result is RecordingResult.FAIL


@pytest.mark.parametrize(
    ("event", "prompt", "reason", "q850"),
    [
        (sig.LegEnded(CALLEE, 486), "busy", Reason.CALLEE_BUSY, 17),
        (sig.LegEnded(CALLEE, 480), "no-answer", Reason.CALLEE_NO_ANSWER, 18),
        (sig.TimerFired(Timer.NO_ANSWER), "no-answer", Reason.CALLEE_NO_ANSWER, 19),
        (sig.LegEnded(CALLEE, 404), "failed", Reason.CALLEE_FAILURE, 1),
    ],
)
def test_the_caller_is_told_why_the_callee_does_not_come(
    event: Event, prompt: str, reason: Reason, q850: int
) -> None:
    explained = Driven(*TO_CALLING_CALLEE, announcements=PROMPTS.model_copy(update={"whisper": None}))
    actions = explained.feed(event)
    assert sig.PlayPrompt(prompt) in actions
    assert explained.audio == AudioPlan(caller=Heard.PROMPT)
    assert CALLER not in hung_up(actions)
    assert hung_up(explained.feed(sig.PromptFinished()))[CALLER] == q850
    assert explained.outcome.reason is reason

    at_once = Driven(*TO_CALLING_CALLEE)
    assert hung_up(at_once.feed(event))[CALLER] == q850
    assert at_once.outcome.reason is reason


EXPLAINING: list[Event] = [*TO_CALLING_CALLEE, sig.LegEnded(CALLEE, 486)]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (sig.LegEnded(CALLER, 200), Reason.CALLEE_BUSY),
        (sig.TimerFired(Timer.PROMPT), Reason.CALLEE_BUSY),
        (sig.EngineStopping(), Reason.CALLEE_BUSY),
        (sig.ReleaseRequested(), Reason.HANG_UP),
    ],
)
def test_how_an_explanation_ends(event: Event, reason: Reason) -> None:
    call = Driven(*EXPLAINING, event, announcements=AnnouncementSettings(busy="busy"))
    assert call.outcome.reason is reason


def test_an_answer_that_comes_during_the_explanation_is_hung_up() -> None:
    history = [*TO_CALLING_CALLEE, sig.TimerFired(Timer.NO_ANSWER)]
    call = Driven(*history, announcements=AnnouncementSettings(no_answer="no-answer"))
    assert hung_up(call.feed(sig.LegAnswered(CALLEE))) == {CALLEE: Q850.NORMAL_CLEARING}


# --- while connected


@pytest.mark.parametrize(
    ("hold", "heard"),
    [("music", Heard.HOLD_MUSIC), ("silence", Heard.NOTHING), ("network", Heard.OTHER_PARTY)],
)
def test_hold_keeps_the_call_and_the_recording(hold: str, heard: Heard) -> None:
    call = Driven(*TO_CONNECTED, recording=True, hold=hold)
    talk = call.audio
    call.feed(sig.LegHeld(CALLEE, on_hold=True))
    assert call.audio == AudioPlan(heard, Heard.NOTHING, Recorded.PARTIES)
    call.feed(sig.LegHeld(CALLEE, on_hold=False))
    assert call.audio == talk
    assert call.machine.phase is Phase.CONNECTED
    assert sig.StopRecording() not in call.actions


def test_two_parties_on_hold_hear_nothing() -> None:
    call = Driven(*TO_CONNECTED, sig.LegHeld(CALLEE, on_hold=True), sig.LegHeld(CALLER, on_hold=True))
    assert call.audio == sig.SILENCE


def test_digits_pass_to_the_other_party_once_connected() -> None:
    press = sig.DigitPressed(CALLER, "5", 120)
    assert Driven(*TO_CALLING_CALLEE).feed(press) == []
    assert Driven(*TO_CONNECTED).feed(press) == [sig.SendDigit(CALLEE, "5", 120)]


def test_digits_are_not_in_what_logs_print() -> None:
    assert "5" not in repr(sig.DigitPressed(CALLER, "5", 120))
    assert "5" not in repr(sig.SendDigit(CALLER, "5", 120))


@pytest.mark.parametrize("lost", [None, "lost"])
@pytest.mark.parametrize(
    ("event", "q850"),
    [
        (sig.MediaLost(CALLEE), 41),
        (sig.LegEnded(CALLEE, 408), 102),
        (sig.LegEnded(CALLEE, 481), 41),
        (sig.LegEnded(CALLEE, 503), 41),
    ],
)
def test_a_party_that_is_lost_ends_the_call_and_the_other_may_be_told(
    event: Event, q850: int, lost: str | None
) -> None:
    """By its audio, or by its dialog: it does not answer, or knows nothing of the call any more."""
    call = Driven(*TO_CONNECTED, announcements=AnnouncementSettings(lost=lost))
    call.feed(event)
    if lost:
        assert sig.PlayPrompt(lost) in call.actions
        assert call.audio == AudioPlan(caller=Heard.PROMPT)
        assert CALLER not in hung_up(call.actions)
        call.feed(sig.PromptFinished())
    assert call.outcome.reason is Reason.OTHER
    assert hung_up(call.actions)[CALLER] == q850
    dialog_is_over = isinstance(event, sig.LegEnded)
    assert (CALLEE in hung_up(call.actions)) is not dialog_is_over


@pytest.mark.parametrize("event", [sig.MediaLost(CALLEE), sig.LegEnded(CALLEE, 481)])
def test_who_holds_hears_no_prompt_when_the_other_is_lost(event: Event) -> None:
    call = Driven(*TO_CONNECTED, sig.LegHeld(CALLER, on_hold=True), announcements=LOST_ONLY)
    call.feed(event)
    assert call.outcome.reason is Reason.OTHER
    assert call.audio == sig.SILENCE


@pytest.mark.parametrize(
    "event", [sig.LegEnded(CALLEE, 200), sig.TimerFired(Timer.MAX_DURATION), sig.EngineStopping()]
)
def test_an_end_that_somebody_wanted_needs_no_prompt(event: Event) -> None:
    call = Driven(*TO_CONNECTED, announcements=LOST_ONLY)
    call.feed(event)
    assert call.outcome.state is CallState.DISCONNECTED
    assert not any(isinstance(action, sig.PlayPrompt) for action in call.actions)


def test_a_warning_tone_comes_before_the_maximum_duration() -> None:
    call = Driven(*TO_CONNECTED, duration_warning=60)
    assert sig.StartTimer(Timer.WARNING, 540) in call.actions
    talk = call.audio
    call.feed(sig.TimerFired(Timer.WARNING))
    assert call.audio == AudioPlan(talk.caller, talk.callee, beep=True)
    call.feed(sig.TimerFired(Timer.BEEP))
    assert call.audio == talk
    assert hung_up(call.feed(sig.TimerFired(Timer.MAX_DURATION)))[CALLER] == Q850.TIMER_EXPIRED


QUOTA_ASKED = sig.TimerFired(Timer.QUOTA)


def started(actions: list[Action]) -> dict[Timer, float]:
    return {action.timer: action.seconds for action in actions if isinstance(action, sig.StartTimer)}


def test_a_call_talks_no_longer_than_its_minutes_and_asks_for_more_in_time() -> None:
    call = Driven(*TO_CONNECTED, granted=300)
    assert started(call.actions)[Timer.MAX_DURATION] == 300
    assert started(call.actions)[Timer.QUOTA] == 270
    assert call.feed(QUOTA_ASKED) == [sig.ExtendQuota(300)]
    # A second after `connected` the question, another one later the answer.
    assert started(call.feed(sig.QuotaGranted(500))) == {Timer.QUOTA: 468, Timer.MAX_DURATION: 498}
    assert call.feed(QUOTA_ASKED) == [sig.ExtendQuota(500)]
    assert started(call.feed(sig.QuotaGranted(900))) == {Timer.MAX_DURATION: 596}, "never longer than that"


def test_where_nothing_was_to_be_had_it_asks_again_until_the_end() -> None:
    call = Driven(*TO_CONNECTED, granted=20)
    assert started(call.actions)[Timer.QUOTA] == 10
    call.now += timedelta(seconds=9)
    assert started(call.feed(sig.QuotaGranted(20))) == {Timer.MAX_DURATION: 10, Timer.QUOTA: 5}
    call.now += timedelta(seconds=8)
    assert started(call.feed(sig.QuotaGranted(20))) == {Timer.MAX_DURATION: 1}
    assert hung_up(call.feed(sig.TimerFired(Timer.MAX_DURATION)))[CALLER] == Q850.TIMER_EXPIRED
    assert (call.outcome.reason, call.outcome.duration) == (Reason.OTHER, 20)


def test_the_warning_tone_comes_before_the_end_of_the_minutes_too() -> None:
    call = Driven(*TO_CONNECTED, granted=300, duration_warning=60)
    assert started(call.actions)[Timer.QUOTA] == 210, "before the warning"
    assert started(call.actions)[Timer.WARNING] == 240
    assert started(call.feed(sig.QuotaGranted(500)))[Timer.WARNING] == 439


def test_an_answer_of_the_pool_after_the_end_changes_nothing() -> None:
    call = Driven(*TO_CONNECTED, granted=300)
    call.feed(sig.ReleaseRequested())
    assert call.feed(sig.QuotaGranted(600)) == []


def test_a_call_that_needs_no_pool_asks_for_nothing() -> None:
    call = Driven(*TO_CONNECTED)
    assert Timer.QUOTA not in started(call.actions)


def test_the_cause_of_one_party_s_bye_is_told_to_the_other() -> None:
    call = Driven(*TO_CONNECTED)
    assert hung_up(call.feed(sig.LegEnded(CALLER, 200, 31))) == {CALLEE: 31}


legs = st.sampled_from(Leg)
events = st.one_of(
    st.builds(sig.LegProgress, legs),
    st.builds(sig.LegAnswered, legs),
    st.builds(
        sig.LegEnded, legs, st.sampled_from([200, 404, 408, 486, 487, 503]), st.sampled_from([None, 16, 17])
    ),
    st.builds(sig.EarlyMedia, legs, st.booleans()),
    st.builds(sig.LegRedirected, legs, st.just("+447700900001"), st.just(302)),
    st.builds(sig.LegHeld, legs, st.booleans()),
    st.builds(sig.MediaLost, legs),
    st.builds(sig.DigitPressed, legs, st.just("1"), st.just(100)),
    st.just(sig.PromptFinished()),
    st.just(sig.ReleaseRequested()),
    st.builds(sig.QuotaGranted, st.sampled_from([100, 300, 900])),
    st.builds(sig.TimerFired, st.sampled_from(Timer)),
    st.just(sig.RecordingFailed()),
    st.builds(sig.RecordingFinished, st.sampled_from([None, "a.wav"])),
    st.just(sig.EngineStopping()),
    st.just(sig.InternalError()),
    st.just(sig.OwnershipLost()),
)


rules = st.fixed_dictionaries(
    {
        "announcements": st.sampled_from([AnnouncementSettings(), PROMPTS]),
        "hold": st.sampled_from(["music", "silence", "network"]),
        "duration_warning": st.sampled_from([0, 60]),
        "granted": st.sampled_from([None, 100]),
    }
)


@given(st.lists(events, max_size=30), st.booleans(), rules)
def test_whatever_happens_a_call_ends_once_and_leaves_nothing_up(
    history: list[Event], recording: bool, rules: dict[str, Any]
) -> None:
    call = Driven(sig.DialRequested(), *history, recording=recording, **rules)
    dialled = {action.leg for action in call.actions if isinstance(action, sig.Dial)}
    call.feed(sig.ReleaseRequested())
    call.feed(sig.RecordingFinished("a.wav"))
    for leg in Leg:
        call.feed(sig.LegEnded(leg, 200))

    terminal = [step for step in call.published if step.state.is_terminal]
    lost = sig.OwnershipLost() in history
    assert len(terminal) <= 1 if lost else len(terminal) == 1
    assert not terminal or call.published[-1] == terminal[0]
    assert call.audio == sig.SILENCE
    over = {event.leg for event in history if isinstance(event, sig.LegEnded | sig.LegRedirected)}
    assert dialled <= over | set(hung_up(call.actions))
    running = set[Timer]()
    for action in call.actions:
        match action:
            case sig.StartTimer(timer):
                running.add(timer)
            case sig.StopTimer(timer):
                running.discard(timer)
    assert not running
    assert sig.Forget() in call.actions
