"""The life of one call as a pure state machine: events in, actions out (RFC 3725 flow I, media bridged).

It never does anything itself and never asks for the time: whoever drives it hands in both. So each row of the
design's table of reasons is a test that runs in microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Literal

from config import AnnouncementSettings
from engine import signals as sig
from engine.causes import Q850, Cause, classify, q850_of_status, reason_for
from engine.signals import Action, AudioPlan, Event, Heard, Leg, Recorded, Timer
from state.call import CallState, DisconnectionReason, RecordingResult

FINALISE_LIMIT = 5.0
"""Seconds a recording may take to be completed and stored before it counts as failed."""
PROMPT_LIMIT = 65.0
"""Seconds; no prompt is longer than 60."""
NO_ANNOUNCEMENTS = AnnouncementSettings()
QUOTA_LEAD = 30.0
"""Seconds before the end of what the pool has granted that more is asked for: so long may Redis be away."""
QUOTA_LAST = 1.0
"""Seconds before that end when it is not asked again."""
BEEP_LENGTH = 0.5
"""Seconds of the warning tone."""


class Phase(Enum):
    INITIATING = auto()
    CALLING_CALLER = auto()
    WHISPERING = auto()
    """The caller has answered and hears a prompt; the callee is not dialled yet."""
    CALLING_CALLEE = auto()
    CONNECTED = auto()
    EXPLAINING = auto()
    """The call cannot go on; the remaining party hears why."""
    FINALISING = auto()
    """Ended; the terminal event waits for the recording."""
    ENDED = auto()


SETTLED = frozenset({Phase.FINALISING, Phase.ENDED})


@dataclass(frozen=True, slots=True)
class CallRules:
    """What the installation and the enterprise want of a call. Times in seconds."""

    no_answer: float = 45.0
    no_progress: float = 10.0
    max_duration: float = 4 * 3600.0
    duration_warning: float = 0.0
    granted: int | None = None
    """What the pool of minutes has reserved for the call at first; None: it needs none."""
    max_redirects: int = 3
    play_early_media: bool = True
    hold: Literal["music", "silence", "network"] = "music"
    announcements: AnnouncementSettings = NO_ANNOUNCEMENTS


class CallMachine:
    def __init__(self, rules: CallRules, *, recording: bool) -> None:
        self.phase = Phase.INITIATING
        self._rules = rules
        self._recording_wanted = recording
        self._recording_begun = False
        self._recorder_runs = False
        self._legs: set[Leg] = set()
        """Legs whose dialog is not over yet."""
        self._redirects = {Leg.CALLER: 0, Leg.CALLEE: 0}
        self._early_media = False
        self._held: set[Leg] = set()
        self._prompt_plays = False
        self._beeps = False
        self._audio = sig.SILENCE
        self._connected_at: datetime | None = None
        self._granted = rules.granted
        self._explained = DisconnectionReason.OTHER
        """Why the call ends, while the remaining party is told."""
        self._explained_q850: int = Q850.NORMAL_CLEARING
        self._listener = Leg.CALLER
        """Who is told."""
        self._ending: sig.Publish | None = None
        """The terminal event, while the recording is finalised."""

    @property
    def is_live(self) -> bool:
        """False once the call's outcome is settled."""
        return self.phase not in SETTLED

    def handle(self, event: Event, now: datetime) -> list[Action]:
        """What to do about `event`, in order."""
        actions = self._decide(event, now)
        plan = self._audio_plan()
        if plan != self._audio:
            self._audio = plan
            actions.insert(_audio_place(actions), sig.SetAudio(plan))
        return actions

    def _decide(self, event: Event, now: datetime) -> list[Action]:  # noqa: PLR0912 - one for each event
        match event:
            case sig.DialRequested():
                return self._dial_caller(now)
            case sig.LegProgress(leg):
                return [sig.StopTimer(Timer.NO_PROGRESS)] if leg is self._called else []
            case sig.EarlyMedia(leg, flows):
                self._early_media = flows and leg is Leg.CALLEE and self._rules.play_early_media
                return []
            case sig.LegAnswered(leg):
                return self._answered(leg, now)
            case sig.LegEnded(leg, status, q850):
                return self._leg_ended(leg, status, q850, now)
            case sig.LegRedirected(leg, number, status):
                return self._redirected(leg, number, status, now)
            case sig.LegHeld(leg, on_hold):
                (self._held.add if on_hold else self._held.discard)(leg)
                return []
            case sig.MediaLost(leg):
                return self._lost(leg, Q850.TEMPORARY_FAILURE, now) if self._is_connected else []
            case sig.DigitPressed(leg, digit, duration_ms):
                return [sig.SendDigit(leg.other, digit, duration_ms)] if self._is_connected else []
            case sig.PromptFinished():
                return self._prompt_finished(now)
            case sig.ReleaseRequested():
                return self._disconnect(DisconnectionReason.HANG_UP, now)
            case sig.QuotaGranted(seconds):
                return self._quota_granted(seconds, now)
            case sig.TimerFired(timer):
                return self._timer_fired(timer, now)
            case sig.RecordingFailed():
                self._recorder_runs = False
                return []
            case sig.RecordingFinished(path):
                return self._recording_finished(path)
            case sig.EngineStopping() | sig.InternalError():
                return self._broken_off(now)
            case sig.OwnershipLost():
                return self._abandon()

    # --- what the parties hear

    def _audio_plan(self) -> AudioPlan:
        match self.phase:
            case Phase.WHISPERING:
                return AudioPlan(caller=Heard.PROMPT)
            case Phase.CALLING_CALLEE:
                return AudioPlan(caller=Heard.OTHER_PARTY if self._early_media else Heard.RINGBACK)
            case Phase.CONNECTED if self._prompt_plays:
                recorded = Recorded.PROMPT if self._recorder_runs else Recorded.NOTHING
                return AudioPlan(Heard.PROMPT, Heard.PROMPT, recorded)
            case Phase.CONNECTED:
                recorded = Recorded.PARTIES if self._recorder_runs else Recorded.NOTHING
                return AudioPlan(
                    self._heard_by(Leg.CALLER), self._heard_by(Leg.CALLEE), recorded, self._beeps
                )
            case Phase.EXPLAINING:
                caller = self._listener is Leg.CALLER
                return AudioPlan(
                    caller=Heard.PROMPT if caller else Heard.NOTHING,
                    callee=Heard.NOTHING if caller else Heard.PROMPT,
                )
            case _:
                return sig.SILENCE

    def _heard_by(self, leg: Leg) -> Heard:
        if leg in self._held:
            return Heard.NOTHING  # it takes no audio from us
        if leg.other not in self._held or self._rules.hold == "network":
            return Heard.OTHER_PARTY
        return Heard.HOLD_MUSIC if self._rules.hold == "music" else Heard.NOTHING

    def _prompt(self, name: str) -> list[Action]:
        self._prompt_plays = True
        return [sig.StartTimer(Timer.PROMPT, PROMPT_LIMIT), sig.PlayPrompt(name)]

    def _prompt_finished(self, now: datetime) -> list[Action]:
        if not self._prompt_plays:
            return []
        self._prompt_plays = False
        actions: list[Action] = [sig.StopTimer(Timer.PROMPT), sig.StopPrompt()]
        match self.phase:
            case Phase.WHISPERING:
                return [*actions, *self._dial_callee(now)]
            case Phase.CONNECTED:
                return [*actions, *self._record()]
            case Phase.EXPLAINING:
                return self._disconnect(self._explained, now, self._explained_q850)
            case _:
                return actions

    # --- setting up

    @property
    def _called(self) -> Leg | None:
        """The leg whose answer is waited for."""
        return {Phase.CALLING_CALLER: Leg.CALLER, Phase.CALLING_CALLEE: Leg.CALLEE}.get(self.phase)

    @property
    def _is_connected(self) -> bool:
        return self.phase is Phase.CONNECTED

    def _dial_caller(self, now: datetime) -> list[Action]:
        self.phase = Phase.CALLING_CALLER
        return [sig.Publish(CallState.CALLING_CALLER, now), *self._dial(Leg.CALLER)]

    def _dial_callee(self, now: datetime) -> list[Action]:
        self.phase = Phase.CALLING_CALLEE
        return [sig.Publish(CallState.CALLING_CALLEE, now), *self._dial(Leg.CALLEE)]

    def _dial(self, leg: Leg) -> list[Action]:
        self._legs.add(leg)
        return [
            sig.StartTimer(Timer.NO_ANSWER, self._rules.no_answer),
            sig.StartTimer(Timer.NO_PROGRESS, self._rules.no_progress),
            sig.Dial(leg),
        ]

    def _answered(self, leg: Leg, now: datetime) -> list[Action]:
        if not self.is_live or leg not in self._legs or self.phase is Phase.EXPLAINING:
            # The 2xx crossed our CANCEL: the phone is up and must not stay so.
            return [sig.HangUp(leg, Q850.NORMAL_CLEARING)]
        if leg is not self._called:
            return []
        stop: list[Action] = [sig.StopTimer(Timer.NO_PROGRESS), sig.StopTimer(Timer.NO_ANSWER)]
        if leg is Leg.CALLEE:
            return [*stop, *self._connect(now)]
        if whisper := self._rules.announcements.whisper:
            self.phase = Phase.WHISPERING
            return [*stop, *self._prompt(whisper)]
        return [*stop, *self._dial_callee(now)]

    def _connect(self, now: datetime) -> list[Action]:
        rules = self._rules
        self.phase = Phase.CONNECTED
        self._connected_at = now
        actions: list[Action] = []
        prompt = rules.announcements.connect
        if prompt is None or rules.announcements.connect_recorded:
            actions += self._record()
        if prompt is not None:
            actions += self._prompt(prompt)
        return [*actions, *self._limit_talk(0.0), sig.Publish(CallState.CONNECTED, now)]

    def _limit_talk(self, talked: float) -> list[Action]:
        """The timers of the call's latest end as it is known now; `talked`: seconds."""
        rules, limit = self._rules, self._rules.max_duration
        actions: list[Action] = []
        if self._granted is not None and self._granted < limit:
            limit = self._granted
            if (left := limit - talked) > QUOTA_LAST:
                # Before the warning; when that is over, as nothing was to be had: at half of what is left.
                lead = QUOTA_LEAD + rules.duration_warning
                actions.append(sig.StartTimer(Timer.QUOTA, max(left - lead, left / 2)))
        left = max(0.0, limit - talked)
        if 0 < rules.duration_warning < left:
            actions.append(sig.StartTimer(Timer.WARNING, left - rules.duration_warning))
        return [*actions, sig.StartTimer(Timer.MAX_DURATION, left)]

    def _quota_granted(self, seconds: int, now: datetime) -> list[Action]:
        if not self._is_connected or self._connected_at is None:
            return []
        self._granted = seconds
        return self._limit_talk((now - self._connected_at).total_seconds())

    def _record(self) -> list[Action]:
        if not self._recording_wanted or self._recording_begun:
            return []
        self._recording_begun = self._recorder_runs = True
        return [sig.StartRecording()]

    def _redirected(self, leg: Leg, number: str, status: int, now: datetime) -> list[Action]:
        if leg is not self._called or self._redirects[leg] >= self._rules.max_redirects:
            return self._leg_ended(leg, status, None, now)
        self._redirects[leg] += 1
        self._early_media = False
        # The no-answer timer goes on: however often a call is forwarded, its caller waits no longer.
        return [sig.StartTimer(Timer.NO_PROGRESS, self._rules.no_progress), sig.Dial(leg, number)]

    # --- ending

    def _leg_ended(self, leg: Leg, status: int, q850: int | None, now: datetime) -> list[Action]:
        self._legs.discard(leg)
        self._held.discard(leg)
        cleared = q850 or Q850.NORMAL_CLEARING
        match self.phase, leg:
            case Phase.CALLING_CALLER, Leg.CALLER:
                return self._disconnect(reason_for(leg, classify(status, q850)), now)
            case Phase.CALLING_CALLEE, Leg.CALLEE:
                return self._unreachable(leg, classify(status, q850), q850 or q850_of_status(status), now)
            case ((Phase.CALLING_CALLEE | Phase.WHISPERING), Leg.CALLER):
                return self._disconnect(DisconnectionReason.CALLER_ABANDON, now, cleared)
            case Phase.CONNECTED, _ if status >= 300:
                # Nobody hung up: the dialog was lost, perhaps at a session refresh (RFC 4028, section 10).
                return self._lost(leg, q850_of_status(status), now)
            case Phase.CONNECTED, _:
                return self._disconnect(DisconnectionReason.HANG_UP, now, cleared)
            case Phase.EXPLAINING, self._listener:
                return self._disconnect(self._explained, now)
            case _:
                return self._forget_if_done()

    def _unreachable(self, leg: Leg, cause: Cause, q850: int, now: datetime) -> list[Action]:
        """The called leg does not come: tell the caller why, if there is one and a prompt for it."""
        reason = reason_for(leg, cause)
        prompts = self._rules.announcements
        prompt = {
            Cause.BUSY: prompts.busy,
            Cause.NO_ANSWER: prompts.no_answer,
            Cause.FAILURE: prompts.failed,
        }[cause]
        if leg is Leg.CALLEE and prompt is not None:
            return self._explain(leg, reason, prompt, q850)
        return self._disconnect(reason, now, q850)

    def _lost(self, leg: Leg, q850: int, now: datetime) -> list[Action]:
        """A connected party is gone, by its audio or its dialog: tell the other, if it can hear a prompt."""
        prompt = self._rules.announcements.lost
        if prompt is not None and leg.other not in self._held:
            return self._explain(leg, DisconnectionReason.OTHER, prompt, q850)
        return self._disconnect(DisconnectionReason.OTHER, now, q850)

    def _explain(self, gone: Leg, reason: DisconnectionReason, prompt: str, q850: int) -> list[Action]:
        """Clear one leg and play a prompt to the other; the outcome is told when it is over."""
        self.phase = Phase.EXPLAINING
        self._explained, self._explained_q850 = reason, q850
        self._listener = gone.other
        actions: list[Action] = [sig.StopTimer(timer) for timer in Timer]
        if gone in self._legs:
            actions.append(sig.HangUp(gone, q850))
        return [*actions, *self._prompt(prompt)]

    def _timer_fired(self, timer: Timer, now: datetime) -> list[Action]:
        match timer:
            case Timer.NO_ANSWER if self._called:
                return self._unreachable(self._called, Cause.NO_ANSWER, Q850.NO_ANSWER, now)
            case Timer.NO_PROGRESS if self._called:
                return self._unreachable(self._called, Cause.NO_ANSWER, Q850.NO_USER_RESPONDING, now)
            case Timer.PROMPT:
                return self._prompt_finished(now)
            case Timer.WARNING if self._is_connected:
                self._beeps = True
                return [sig.StartTimer(Timer.BEEP, BEEP_LENGTH)]
            case Timer.BEEP:
                self._beeps = False
                return []
            case Timer.QUOTA if self._is_connected and self._granted is not None:
                return [sig.ExtendQuota(self._granted)]
            case Timer.MAX_DURATION if self._is_connected:
                return self._disconnect(DisconnectionReason.OTHER, now, Q850.TIMER_EXPIRED)
            case Timer.FINALISE:
                return self._recording_finished(None)
            case _:
                return []

    def _broken_off(self, now: datetime) -> list[Action]:
        """We are the ones who cannot go on; what is known of the call's outcome by now stands."""
        if self.phase is Phase.EXPLAINING:
            return self._disconnect(self._explained, now)
        if self._is_connected:
            return self._disconnect(DisconnectionReason.OTHER, now, Q850.TEMPORARY_FAILURE)
        return self._end(CallState.FAILED, None, now, Q850.TEMPORARY_FAILURE)

    def _disconnect(
        self, reason: DisconnectionReason, now: datetime, q850: int = Q850.NORMAL_CLEARING
    ) -> list[Action]:
        return self._end(CallState.DISCONNECTED, reason, now, q850)

    def _end(
        self, state: CallState, reason: DisconnectionReason | None, now: datetime, q850: int
    ) -> list[Action]:
        """Settle the outcome; every later event only cleans up."""
        if not self.is_live:
            return []
        duration = None
        if state is CallState.DISCONNECTED:
            # callDuration counts whole seconds since `connected`; a clock set back must not make it negative.
            seconds = (now - self._connected_at).total_seconds() if self._connected_at else 0
            duration = max(0, int(seconds))
        outcome = sig.Publish(state, now, reason, duration, self._recording_result())
        actions = self._stop_everything(q850)
        if self._recorder_runs:
            self.phase = Phase.FINALISING
            self._ending = outcome
            return [*actions, sig.StartTimer(Timer.FINALISE, FINALISE_LIMIT), sig.StopRecording()]
        self.phase = Phase.ENDED
        return [*actions, outcome, *self._forget_if_done()]

    def _recording_result(self) -> RecordingResult | None:
        """What is known before the recording is stored."""
        if not self._recording_wanted:
            return None
        return RecordingResult.FAIL if self._recording_begun else RecordingResult.NO_RECORD

    def _recording_finished(self, path: str | None) -> list[Action]:
        if self.phase is not Phase.FINALISING or self._ending is None:
            return []
        ending, self._ending = self._ending, None
        self.phase = Phase.ENDED
        result = RecordingResult.SUCCESS if path else RecordingResult.FAIL
        outcome = sig.Publish(ending.state, ending.at, ending.reason, ending.duration, result, path)
        return [sig.StopTimer(Timer.FINALISE), outcome, *self._forget_if_done()]

    def _abandon(self) -> list[Action]:
        """End both legs and say nothing: the outcome is another's to tell."""
        if self.phase is Phase.ENDED:
            return []
        actions = self._stop_everything(Q850.TEMPORARY_FAILURE)
        if self._recorder_runs and self.phase is not Phase.FINALISING:
            actions.append(sig.StopRecording())
        self.phase = Phase.ENDED
        self._ending = None
        return [*actions, *self._forget_if_done()]

    def _stop_everything(self, q850: int) -> list[Action]:
        self._prompt_plays = False
        return [
            *(sig.StopTimer(timer) for timer in Timer),
            sig.StopPrompt(),
            *(sig.HangUp(leg, q850) for leg in Leg if leg in self._legs),
        ]

    def _forget_if_done(self) -> list[Action]:
        return [sig.Forget()] if self.phase is Phase.ENDED and not self._legs else []


def _audio_place(actions: list[Action]) -> int:
    """Where the audio changes: at once, but after what it connects exists and after an INVITE."""
    makers = (sig.StartRecording, sig.PlayPrompt, sig.Dial)
    return max((at + 1 for at, action in enumerate(actions) if isinstance(action, makers)), default=0)
