"""The life of one call as a pure state machine: events in, actions out (RFC 3725 flow I, media bridged).

It never does anything itself and never asks for the time: whoever drives it hands in both. So each row of the
design's table of reasons is a test that runs in microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from engine import signals as sig
from engine.causes import Cause, classify, reason_for
from engine.signals import Action, Event, Leg, Timer
from state.call import CallState, DisconnectionReason, RecordingResult

FINALISE_LIMIT = 5.0
"""Seconds a recording may take to be completed and stored before it counts as failed."""


class Phase(Enum):
    INITIATING = auto()
    CALLING_CALLER = auto()
    CALLING_CALLEE = auto()
    CONNECTED = auto()
    FINALISING = auto()
    """Ended; the terminal event waits for the recording."""
    ENDED = auto()


LIVE = frozenset({Phase.INITIATING, Phase.CALLING_CALLER, Phase.CALLING_CALLEE, Phase.CONNECTED})


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Seconds."""

    no_answer: float = 45.0
    max_duration: float = 4 * 3600.0


class CallMachine:
    def __init__(self, limits: CallLimits, *, recording: bool) -> None:
        self.phase = Phase.INITIATING
        self._limits = limits
        self._recording_wanted = recording
        self._recorder_runs = False
        self._legs: set[Leg] = set()
        """Legs whose dialog is not over yet."""
        self._connected_at: datetime | None = None
        self._ending: sig.Publish | None = None
        """The terminal event, while the recording is finalised."""

    @property
    def is_live(self) -> bool:
        """False once the call's outcome is settled."""
        return self.phase in LIVE

    def handle(self, event: Event, now: datetime) -> list[Action]:
        """What to do about `event`, in order."""
        match event:
            case sig.DialRequested():
                return self._dial_caller(now)
            case sig.LegRinging():
                return []
            case sig.LegAnswered(leg):
                return self._answered(leg, now)
            case sig.LegEnded(leg, status, q850):
                return self._leg_ended(leg, status, q850, now)
            case sig.ReleaseRequested():
                return self._disconnect(DisconnectionReason.HANG_UP, now)
            case sig.TimerFired(timer):
                return self._timer_fired(timer, now)
            case sig.RecordingFailed():
                self._recorder_runs = False
                return []
            case sig.RecordingFinished(path):
                return self._recording_finished(path)
            case sig.EngineStopping() | sig.InternalError():
                if self.phase is Phase.CONNECTED:
                    return self._disconnect(DisconnectionReason.OTHER, now)
                return self._end(CallState.FAILED, None, now)
            case sig.OwnershipLost():
                return self._abandon()

    def _dial_caller(self, now: datetime) -> list[Action]:
        self.phase = Phase.CALLING_CALLER
        self._legs.add(Leg.CALLER)
        return [
            sig.Publish(CallState.CALLING_CALLER, now),
            sig.StartTimer(Timer.NO_ANSWER, self._limits.no_answer),
            sig.Dial(Leg.CALLER),
        ]

    def _answered(self, leg: Leg, now: datetime) -> list[Action]:
        match self.phase, leg:
            case Phase.CALLING_CALLER, Leg.CALLER:
                self.phase = Phase.CALLING_CALLEE
                self._legs.add(Leg.CALLEE)
                return [
                    sig.Publish(CallState.CALLING_CALLEE, now),
                    sig.StartTimer(Timer.NO_ANSWER, self._limits.no_answer),
                    sig.Dial(Leg.CALLEE),
                    sig.PlayRingback(),
                ]
            case Phase.CALLING_CALLEE, Leg.CALLEE:
                return self._connect(now)
            case _ if not self.is_live:
                # The 2xx crossed our CANCEL: the phone is up and must not stay so.
                return [sig.HangUp(leg)]
            case _:
                return []

    def _connect(self, now: datetime) -> list[Action]:
        self.phase = Phase.CONNECTED
        self._connected_at = now
        actions: list[Action] = [
            sig.StopTimer(Timer.NO_ANSWER),
            sig.StopRingback(),
            sig.Bridge(),
        ]
        if self._recording_wanted:
            self._recorder_runs = True
            actions.append(sig.StartRecording())
        return [
            *actions,
            sig.StartTimer(Timer.MAX_DURATION, self._limits.max_duration),
            sig.Publish(CallState.CONNECTED, now),
        ]

    def _leg_ended(self, leg: Leg, status: int, q850: int | None, now: datetime) -> list[Action]:
        self._legs.discard(leg)
        match self.phase, leg:
            case Phase.CALLING_CALLER, Leg.CALLER:
                return self._disconnect(reason_for(leg, classify(status, q850)), now)
            case Phase.CALLING_CALLEE, Leg.CALLEE:
                return self._disconnect(reason_for(leg, classify(status, q850)), now)
            case Phase.CALLING_CALLEE, Leg.CALLER:
                return self._disconnect(DisconnectionReason.CALLER_ABANDON, now)
            case Phase.CONNECTED, _:
                return self._disconnect(DisconnectionReason.HANG_UP, now)
            case _:
                return self._forget_if_done()

    def _timer_fired(self, timer: Timer, now: datetime) -> list[Action]:
        match timer, self.phase:
            case Timer.NO_ANSWER, Phase.CALLING_CALLER:
                return self._disconnect(reason_for(Leg.CALLER, Cause.NO_ANSWER), now)
            case Timer.NO_ANSWER, Phase.CALLING_CALLEE:
                return self._disconnect(reason_for(Leg.CALLEE, Cause.NO_ANSWER), now)
            case Timer.MAX_DURATION, Phase.CONNECTED:
                return self._disconnect(DisconnectionReason.OTHER, now)
            case Timer.FINALISE, Phase.FINALISING:
                return self._recording_finished(None)
            case _:
                return []

    def _disconnect(self, reason: DisconnectionReason, now: datetime) -> list[Action]:
        return self._end(CallState.DISCONNECTED, reason, now)

    def _end(self, state: CallState, reason: DisconnectionReason | None, now: datetime) -> list[Action]:
        """Settle the outcome; every later event only cleans up."""
        if not self.is_live:
            return []
        duration = None
        if state is CallState.DISCONNECTED:
            # callDuration counts whole seconds since `connected`; a clock set back must not make it negative.
            seconds = (now - self._connected_at).total_seconds() if self._connected_at else 0
            duration = max(0, int(seconds))
        outcome = sig.Publish(state, now, reason, duration, self._recording_result())
        actions = self._stop_everything()
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
        return RecordingResult.FAIL if self._connected_at else RecordingResult.NO_RECORD

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
        actions = self._stop_everything()
        if self._recorder_runs and self.phase is not Phase.FINALISING:
            actions.append(sig.StopRecording())
        self.phase = Phase.ENDED
        self._ending = None
        return [*actions, *self._forget_if_done()]

    def _stop_everything(self) -> list[Action]:
        return [
            *(sig.StopTimer(timer) for timer in Timer),
            sig.StopRingback(),
            *(sig.HangUp(leg) for leg in Leg if leg in self._legs),
        ]

    def _forget_if_done(self) -> list[Action]:
        return [sig.Forget()] if self.phase is Phase.ENDED and not self._legs else []
