"""One call on the PJ thread: carries out what its state machine decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import pjsua2 as pj
import structlog

from config import RingbackSettings
from engine import signals as sig
from engine.call_machine import CallLimits, CallMachine
from engine.endpoint import CLOCK_RATE, SipEndpoint
from engine.leg import PartyCall
from engine.signals import Event, Leg, Timer
from engine.timers import Alarm, Timers
from engine.tracing import PjLog
from state.call import Call, utc_now

TRANSPORT_FAILURE = 503
"""RFC 3261, 8.1.3.1: a request that cannot be sent counts as answered with 503."""


class SessionHost(Protocol):
    """What a session needs from the process around it. Called on the PJ thread."""

    endpoint: SipEndpoint
    timers: Timers
    trace: PjLog
    trunk: str
    local_host: str
    ringback: RingbackSettings

    def live_recording(self, call_id: str) -> Path: ...

    def publish(self, call: Call, step: sig.Publish) -> None: ...

    def finish_recording(self, session: CallSession, bridge_port: int) -> None: ...

    def later(self, action: Callable[[], None]) -> None: ...

    def forget(self, session: CallSession) -> None: ...


class CallSession:
    def __init__(self, call: Call, limits: CallLimits, host: SessionHost) -> None:
        self.call = call
        self._host = host
        self._log = structlog.get_logger("engine").bind(call_id=call.id)
        self._machine = CallMachine(limits, recording=call.recording_enabled)
        self._legs: dict[Leg, PartyCall] = {}
        self._alarms: dict[Timer, Alarm] = {}
        self._ringback: pj.ToneGenerator | None = None
        self._recorder: pj.AudioMediaRecorder | None = None
        self._bridged = False

    @property
    def is_live(self) -> bool:
        return self._machine.is_live

    @property
    def leg_count(self) -> int:
        return len(self._legs)

    @property
    def records(self) -> bool:
        return self._recorder is not None

    def handle(self, event: Event) -> None:
        """Feed the machine and do what it answers. Never called from inside a pjsua2 callback."""
        if isinstance(event, sig.LegEnded):
            self._drop_leg(event.leg)
        before = self._machine.phase
        actions = self._machine.handle(event, utc_now())
        if self._machine.phase is not before:
            self._log.info(
                "call moved on",
                by=type(event).__name__,
                phase=self._machine.phase.name.lower(),
                **_told(event),
            )
        for action in actions:
            try:
                self._carry_out(action)
            except Exception:
                # One call's trouble is not the other calls': end this one, keep the process.
                self._log.exception("an action failed", action=type(action).__name__)
                self._host.later(partial(self.handle, sig.InternalError()))

    def _carry_out(self, action: sig.Action) -> None:
        match action:
            case sig.Publish():
                self._host.publish(self.call, action)
            case sig.Dial(leg):
                self._dial(leg)
            case sig.HangUp(leg):
                if leg in self._legs:
                    self._legs[leg].end()
            case sig.PlayRingback():
                self._play_ringback()
            case sig.StopRingback():
                self._stop_ringback()
            case sig.Bridge():
                self._bridged = True
                self._join()
            case sig.StartRecording():
                self._start_recording()
            case sig.StopRecording():
                self._stop_recording()
            case sig.StartTimer(timer, seconds):
                self._stop_timer(timer)
                self._alarms[timer] = self._host.timers.start(seconds, partial(self._fire, timer))
            case sig.StopTimer(timer):
                self._stop_timer(timer)
            case sig.Forget():
                self._host.forget(self)

    def _fire(self, timer: Timer) -> None:
        self._alarms.pop(timer, None)
        self.handle(sig.TimerFired(timer))

    def _stop_timer(self, timer: Timer) -> None:
        if alarm := self._alarms.pop(timer, None):
            self._host.timers.stop(alarm)

    # --- legs

    def _dial(self, leg: Leg) -> None:
        host = self._host
        party = PartyCall(
            host.endpoint.account, leg, on_event=self._from_network, on_media=self._media_changed
        )
        self._legs[leg] = party
        host.trace.watch(party.sip_call_id, self.call.id, leg)
        number = self.call.caller if leg is Leg.CALLER else self.call.callee
        try:
            party.dial(number, shown=self.call.presented_number, trunk=host.trunk, local_host=host.local_host)
        except pj.Error as error:
            self._log.warning(
                "the INVITE could not be sent", leg=leg.value, error=error.title, status=error.status
            )
            host.later(partial(self.handle, sig.LegEnded(leg, TRANSPORT_FAILURE)))

    def _from_network(self, event: Event) -> None:
        """Inside a pjsua2 callback: act when it has returned."""
        self._host.later(partial(self.handle, event))

    def _media_changed(self, leg: Leg) -> None:
        del leg
        self._host.later(self._join)

    def _drop_leg(self, leg: Leg) -> None:
        if party := self._legs.pop(leg, None):
            party.detach()
            self._host.trace.unwatch(party.sip_call_id)

    # --- audio

    def _join(self) -> None:
        """Connect what should hear each other; a re-INVITE may give a leg another bridge port."""
        ports = {leg: audio for leg, party in self._legs.items() if (audio := party.audio())}
        caller, callee = ports.get(Leg.CALLER), ports.get(Leg.CALLEE)
        if self._ringback is not None and caller is not None:
            self._ringback.startTransmit(caller)
        if not (self._bridged and self.is_live):
            return
        if caller is not None and callee is not None:
            caller.startTransmit(callee)
            callee.startTransmit(caller)
        if self._recorder is not None:
            for audio in ports.values():
                audio.startTransmit(self._recorder)

    def _play_ringback(self) -> None:
        settings = self._host.ringback
        first, second = (*settings.frequencies, 0)[:2]
        tones = pj.ToneDescVector()
        for on, off in zip(settings.cadence[::2], settings.cadence[1::2], strict=True):
            tone = pj.ToneDesc()
            tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = first, second, on, off
            tones.append(tone)
        self._ringback = pj.ToneGenerator()
        self._ringback.createToneGenerator(CLOCK_RATE, 1)
        self._ringback.play(tones, True)
        self._join()

    def _stop_ringback(self) -> None:
        self._ringback = None  # its destructor leaves the bridge

    def _start_recording(self) -> None:
        try:
            path = self._host.live_recording(self.call.id)
            recorder = pj.AudioMediaRecorder()
            recorder.createRecorder(str(path))
        except (OSError, pj.Error) as error:
            self._log.error("the recorder could not be started", error=str(error))
            self.handle(sig.RecordingFailed())
            return
        self._recorder = recorder
        self._join()

    def _stop_recording(self) -> None:
        if self._recorder is None:
            return
        bridge_port = self._recorder.getPortId()
        self._recorder = None  # its destructor asks the bridge to remove the port
        self._host.finish_recording(self, bridge_port)


def _told(event: Event) -> dict[str, object]:
    """What the network said, for the log."""
    if isinstance(event, sig.LegEnded):
        return {"leg": event.leg.value, "status": event.status, "q850": event.q850}
    return {}
