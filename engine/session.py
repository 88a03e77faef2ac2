"""One call on the PJ thread: carries out what its state machine decides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import uniform
from time import monotonic
from typing import Protocol

import pjsua2 as pj
import structlog

from config import Settings
from engine import signals as sig
from engine.attempts import Attempts
from engine.call_audio import CallAudio
from engine.call_machine import CallMachine, CallRules, Phase
from engine.digits import END_MISSING, DigitReader
from engine.endpoint import SipEndpoint
from engine.leg import REDIRECTIONS, LegEvent, PartyCall
from engine.media_watch import EARLY_MEDIA_INTERVAL, EarlyMediaWatch, SilenceWatch
from engine.redirects import permitted_number
from engine.signals import Event, Leg, Timer
from engine.timers import Alarm, Timers
from engine.tracing import PjLog
from media.prompts import PromptLibrary
from media.ringback_tones import tone_for
from policy.rules import NumberRules, Party, Refusal
from state.call import Call, Findings, PressedDigit, mask_number, utc_now
from state.quality import LegQuality

TRANSPORT_FAILURE = 503
"""RFC 3261, 8.1.3.1: a request that cannot be sent counts as answered with 503."""
DIGITS_INTERVAL = 0.1
"""Seconds between two attempts to send digits that found no room."""
GLARE_DELAY = 2.1, 4.0
"""Seconds, at random: RFC 3261, section 14.1, for the one who chose the Call-ID."""


class SessionHost(Protocol):
    """What a session needs from the process around it. Called on the PJ thread."""

    settings: Settings
    endpoint: SipEndpoint
    timers: Timers
    trace: PjLog
    prompts: PromptLibrary
    trunk: str
    trunk_hosts: frozenset[str]
    local_host: str

    def live_recordings(self, call: Call) -> tuple[Path, ...]: ...

    def publish(self, call: Call, step: sig.Publish, findings: Findings) -> None: ...

    def keep_findings(self, call: Call, findings: Findings) -> None: ...

    def count_refusal(self, refusal: Refusal) -> None: ...
    def extend_quota(self, call: Call, granted: int) -> None: ...

    def finish_recording(self, session: CallSession, bridge_ports: frozenset[int]) -> None: ...

    def later(self, action: Callable[[], None]) -> None: ...

    def keep_until_over(self, party: PartyCall) -> None:
        """Nobody listens to it any more, but a call that pjsua2 frees too early it hangs up once more."""

    def forget(self, session: CallSession) -> None: ...


def rules_of(settings: Settings, call: Call) -> CallRules:
    return CallRules(
        no_answer=settings.call.no_answer_timeout,
        no_progress=settings.call.no_progress_timeout,
        max_duration=settings.call.max_duration,
        duration_warning=settings.call.duration_warning,
        max_redirects=settings.call.max_redirects,
        play_early_media=settings.trunk.early_media == "play",
        hold=settings.call.hold,
        granted=call.granted_seconds,
        announcements=call.announcements,
    )


class CallSession:
    def __init__(self, call: Call, host: SessionHost) -> None:
        self.call = call
        self._host = host
        self._log = structlog.get_logger("engine").bind(call_id=call.id)
        self._machine = CallMachine(rules_of(host.settings, call), recording=call.recording_enabled)
        self._legs: dict[Leg, PartyCall] = {}
        self._dialled = {call.caller, call.callee}
        """Every number this call has been at: no redirection leads there again."""
        self._audio = CallAudio(
            clock_rate=host.endpoint.clock_rate,
            ringback=tone_for(host.settings.ringback, call.callee),
            silence=host.endpoint.silence,
            hold_music=host.endpoint.hold_music,
            nowhere=host.endpoint.nowhere,
        )
        self._alarms: dict[object, Alarm] = {}
        self._early_media = EarlyMediaWatch()
        self._silence = {leg: SilenceWatch(host.settings.call.media_timeout) for leg in Leg}
        self._held: set[Leg] = set()
        self._may_be_silent: set[Leg] = set()
        self._readers = {leg: DigitReader() for leg in Leg}
        self._pressed: list[PressedDigit] = []
        self._quality: dict[Leg, LegQuality] = {}
        self._attempts = Attempts(
            host.settings.trunk.name, {Leg.CALLER: call.caller, Leg.CALLEE: call.callee}
        )

    @property
    def is_live(self) -> bool:
        return self._machine.is_live

    @property
    def leg_count(self) -> int:
        return len(self._legs)

    @property
    def records(self) -> bool:
        return self._audio.records

    def handle(self, event: Event) -> None:
        """Feed the machine and do what it answers. Never called from inside a pjsua2 callback."""
        before, tried, now = self._machine.phase, self._attempts.all, utc_now()
        self._attempts.hear(event, now)
        actions = self._machine.handle(event, now)
        for action in actions:
            # All of them at once: what is published first tells of the INVITE that leaves next.
            self._attempts.see(action, now)
        after = self._machine.phase
        if after is not before:
            self._log.info("call moved on", by=type(event).__name__, phase=after.name.lower(), **_told(event))
        for action in actions:
            try:
                self._carry_out(action)
            except Exception:
                # One call's trouble is not the other calls': end this one, keep the process.
                self._log.exception("an action failed", action=type(action).__name__)
                self._host.later(partial(self.handle, sig.InternalError()))
        if after is not before:
            self._watch(after)
        told = any(isinstance(action, sig.Publish) for action in actions)
        if self._attempts.all != tried and self.is_live and not told:
            self._host.keep_findings(self.call, self._findings())

    def _carry_out(self, action: sig.Action) -> None:  # noqa: PLR0912 - one for each action
        match action:
            case sig.Publish():
                self._publish(action)
            case sig.Dial(leg, number):
                self._dial(leg, number)
            case sig.HangUp(leg, q850):
                self._hang_up(leg, q850)
            case sig.SetAudio(plan):
                self._audio.follow(plan)
            case sig.PlayPrompt(name):
                self._play_prompt(name)
            case sig.StopPrompt():
                self._audio.stop_prompt()
            case sig.SendDigit(leg, digit, duration_ms):
                self._send_digit(leg, digit, duration_ms)
            case sig.StartRecording():
                self._start_recording()
            case sig.StopRecording():
                self._stop_recording()
            case sig.ExtendQuota(granted):
                self._host.extend_quota(self.call, granted)
            case sig.StartTimer(timer, seconds):
                self._start_alarm(timer, seconds, partial(self._fire, timer))
            case sig.StopTimer(timer):
                self._stop_alarm(timer)
            case sig.Forget():
                self._forget()

    def _publish(self, step: sig.Publish) -> None:
        if step.state.is_terminal:
            self._sample_legs()
        self._host.publish(self.call, step, self._findings(step.recording_path))

    def _findings(self, recording_path: str | None = None) -> Findings:
        return Findings(
            recording_path=recording_path,
            caller_quality=self._quality.get(Leg.CALLER),
            callee_quality=self._quality.get(Leg.CALLEE),
            digits=tuple(self._pressed),
            attempts=self._attempts.all,
        )

    def _forget(self) -> None:
        self._audio.close()
        for name in [*self._alarms]:
            self._stop_alarm(name)
        self._host.forget(self)

    # --- timers

    def _start_alarm(self, name: object, seconds: float, action: Callable[[], None]) -> None:
        """Replaces the alarm of the same name."""
        self._stop_alarm(name)
        self._alarms[name] = self._host.timers.start(seconds, action)

    def _stop_alarm(self, name: object) -> None:
        if alarm := self._alarms.pop(name, None):
            self._host.timers.stop(alarm)

    def _fire(self, timer: Timer) -> None:
        self._alarms.pop(timer, None)
        self.handle(sig.TimerFired(timer))

    # --- legs

    def _dial(self, leg: Leg, number: str | None) -> None:
        host = self._host
        party = PartyCall(host.endpoint.account, leg, self, host.settings.trunk)
        self._legs[leg] = party
        self._early_media = EarlyMediaWatch()
        host.trace.watch(party.sip_call_id, self.call.id, leg)
        own = self.call.caller if leg is Leg.CALLER else self.call.callee
        try:
            party.dial(
                number or own,
                shown=self.call.presented_number,
                trunk=host.trunk,
                local_host=host.local_host,
            )
        except pj.Error as error:
            self._log.warning(
                "the INVITE could not be sent", leg=leg.value, error=error.title, status=error.status
            )
            self.on_leg_event(sig.LegEnded(leg, TRANSPORT_FAILURE, by_us=True))

    def _hang_up(self, leg: Leg, q850: int) -> None:
        if party := self._legs.get(leg):
            party.end(q850)

    def on_leg_event(self, event: LegEvent) -> None:
        party = self._legs.get(event.leg)
        self._host.later(partial(self._leg_event, event, party))

    def _leg_event(self, event: LegEvent, party: PartyCall | None) -> None:
        if isinstance(event, sig.LegEnded):
            self._drop_leg(event.leg)
            number = self._redirection(event, party)
            if number is not None:
                self._dialled.add(number)
                self.handle(sig.LegRedirected(event.leg, number, event.status))
                return
        self.handle(event)

    def _redirection(self, ended: sig.LegEnded, party: PartyCall | None) -> str | None:
        if party is None or ended.status not in REDIRECTIONS:
            return None
        return permitted_number(
            party.redirect_targets,
            party=Party(ended.leg.value),
            trunk_hosts=self._host.trunk_hosts,
            rules=NumberRules(self._host.settings.policy, self.call.policy),
            taken=self._dialled,
            recording=self.call.recording_enabled,
            refused=partial(self._redirection_refused, ended.leg),
        )

    def _redirection_refused(self, leg: Leg, number: str, refusal: Refusal) -> None:
        self._log.warning(
            "redirection_refused",
            leg=leg.value,
            rule=refusal.rule.value,
            origin=refusal.origin.value,
            enterprise_id=self.call.enterprise_id,
            client_id=self.call.client_id,
            number=mask_number(number),
        )
        self._host.count_refusal(refusal)

    def _drop_leg(self, leg: Leg) -> None:
        self._sample_legs()
        if party := self._legs.pop(leg, None):
            party.detach()
            self._host.keep_until_over(party)
            self._audio.set_leg(leg, None)
            self._stop_alarm(("digit", leg))
            self._stop_alarm(("send digits", leg))
            self._stop_alarm(("offer again", leg))
            self._host.trace.unwatch(party.sip_call_id)

    # --- audio

    def on_leg_media(self, leg: Leg) -> None:
        self._host.later(partial(self._media_changed, leg))

    def on_leg_media_gone(self, leg: Leg) -> None:
        self._audio.lose_leg(leg)

    def on_leg_glare(self, leg: Leg, method: str) -> None:
        self._host.later(partial(self._wait_for_other_offer, leg, method))

    def _wait_for_other_offer(self, leg: Leg, method: str) -> None:
        if leg in self._legs:
            delay = uniform(*GLARE_DELAY)  # noqa: S311 - so that two do not meet again
            self._start_alarm(("offer again", leg), delay, partial(self._offer_again, leg, method))

    def _offer_again(self, leg: Leg, method: str) -> None:
        self._alarms.pop(("offer again", leg), None)
        if (party := self._legs.get(leg)) is None or not party.isActive():
            return
        try:
            party.offer_again(method)
        except pj.Error:
            self._wait_for_other_offer(leg, method)  # the party's is under way right now

    def _media_changed(self, leg: Leg) -> None:
        if (party := self._legs.get(leg)) is None or not party.isActive():
            return
        audio = party.audio()
        self._audio.set_leg(leg, audio.port)
        (self._may_be_silent.add if audio.may_be_silent else self._may_be_silent.discard)(leg)
        if audio.on_hold is not (leg in self._held):
            (self._held.add if audio.on_hold else self._held.discard)(leg)
            self._log.info("hold" if audio.on_hold else "resume", leg=leg.value)
            self.handle(sig.LegHeld(leg, audio.on_hold))

    def _play_prompt(self, name: str) -> None:
        try:
            self._audio.play_prompt(self._host.prompts.path(name), self._prompt_ended)
        except (LookupError, pj.Error) as error:
            self._log.error("the prompt could not be played", prompt=name, error=str(error))
            self._prompt_ended()

    def _prompt_ended(self) -> None:
        self._host.later(partial(self.handle, sig.PromptFinished()))

    def _start_recording(self) -> None:
        try:
            self._audio.start_recording(self._host.live_recordings(self.call))
        except (OSError, pj.Error) as error:
            self._log.error("the recorder could not be started", error=str(error))
            self.handle(sig.RecordingFailed())

    def _stop_recording(self) -> None:
        if self._audio.records:
            self._host.finish_recording(self, self._audio.stop_recording())

    # --- digits

    def on_leg_digit(self, leg: Leg, digit: str, timestamp: int, duration_ms: int, ended: bool) -> None:
        self._host.later(partial(self._digit, leg, digit, timestamp, duration_ms, ended))

    def _digit(self, leg: Leg, digit: str, timestamp: int, duration_ms: int, ended: bool) -> None:
        reader = self._readers[leg]
        for press in reader.feed(digit, timestamp, duration_ms, ended=ended):
            self._pressed_digit(leg, press.digit, press.duration_ms)
        if reader.is_down:
            self._start_alarm(("digit", leg), END_MISSING, partial(self._digit_end_missing, leg))
        else:
            self._stop_alarm(("digit", leg))

    def _digit_end_missing(self, leg: Leg) -> None:
        self._alarms.pop(("digit", leg), None)
        for press in self._readers[leg].give_up():
            self._pressed_digit(leg, press.digit, press.duration_ms)

    def _pressed_digit(self, leg: Leg, digit: str, duration_ms: int) -> None:
        self._log.debug("digit", leg=leg.value, duration_ms=duration_ms)
        if self._host.settings.call.record_digits and self._machine.phase is Phase.CONNECTED:
            self._pressed.append(
                PressedDigit(leg=leg.value, digit=digit, duration_ms=duration_ms, at=utc_now())
            )
        self.handle(sig.DigitPressed(leg, digit, duration_ms))

    def _send_digit(self, leg: Leg, digit: str, duration_ms: int) -> None:
        if party := self._legs.get(leg):
            party.send_digit(digit, duration_ms)
            self._retry_digits(leg)

    def _retry_digits(self, leg: Leg) -> None:
        """What found no room in the stream's queue leaves as soon as there is some."""
        self._stop_alarm(("send digits", leg))
        if (party := self._legs.get(leg)) is None:
            return
        party.send_digits()
        if party.has_digits_left:
            self._start_alarm(("send digits", leg), DIGITS_INTERVAL, partial(self._retry_digits, leg))

    # --- what the network does to the audio

    def _watch(self, phase: Phase) -> None:
        """Look at what each phase is in danger of."""
        self._stop_alarm("watch")
        if phase is Phase.CALLING_CALLEE and self._host.settings.trunk.early_media == "play":
            self._start_alarm("watch", EARLY_MEDIA_INTERVAL, self._look_for_early_media)
        elif phase is Phase.CONNECTED:
            self._start_alarm("watch", self._watch_interval, self._look_for_silence)

    @property
    def _watch_interval(self) -> float:
        settings = self._host.settings
        timeout = settings.call.media_timeout
        interval = settings.quality.interval
        return min(interval, timeout / 4) if timeout else interval

    def _look_for_early_media(self) -> None:
        self._start_alarm("watch", EARLY_MEDIA_INTERVAL, self._look_for_early_media)
        party = self._legs.get(Leg.CALLEE)
        reading = party.reading() if party is not None else None
        if reading is None:
            return
        flows = self._early_media.feed(reading.decoded, monotonic())
        if flows is not None:
            self._log.info("early media", flows=flows)
            self.handle(sig.EarlyMedia(Leg.CALLEE, flows))

    def _look_for_silence(self) -> None:
        self._start_alarm("watch", self._watch_interval, self._look_for_silence)
        now = monotonic()
        for leg in self._sample_legs():
            received = self._quality[leg].packets_received
            if self._silence[leg].feed(received, now, excused=leg in self._may_be_silent):
                self._log.warning("no RTP", leg=leg.value)
                self.handle(sig.MediaLost(leg))
        self._host.keep_findings(self.call, self._findings())

    def _sample_legs(self) -> list[Leg]:
        """Take the figures of each leg that has audio now; which they are."""
        sampled = []
        for leg, party in self._legs.items():
            reading = None
            with suppress(pj.Error):  # its call is over and forgotten by pjsua
                reading = party.reading()
            if reading is not None:
                self._quality[leg] = reading.quality()
                sampled.append(leg)
        return sampled


def _told(event: Event) -> dict[str, object]:
    """What the network said, for the log."""
    match event:
        case sig.LegEnded(leg, status, q850):
            return {"leg": leg.value, "status": status, "q850": q850}
        case sig.LegRedirected(leg, _, status):
            return {"leg": leg.value, "status": status}
        case sig.MediaLost(leg):
            return {"leg": leg.value}
        case _:
            return {}
