"""The back-to-back user agent: all calls of this process, on the PJ thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from config import Settings
from engine import signals as sig
from engine.endpoint import SipEndpoint, bridge_rate
from engine.leg import PartyCall
from engine.session import CallSession
from engine.timers import Timers
from engine.tracing import PjLog
from media.prompts import PromptLibrary
from media.recordings import RecordingStore
from policy.rules import Refusal
from state.call import Call, Findings
from state.engines import Command, DialCommand, ReleaseCommand

log = structlog.get_logger("engine")

POLL_MS = 10


@dataclass(frozen=True, slots=True)
class Load:
    """What the process holds right now."""

    calls: int
    legs: int
    bridge_ports: int
    recorders: int
    timers: int
    dialogs: int


class B2bua:
    """Implements `engine.session.SessionHost`. Every method runs on the PJ thread."""

    def __init__(
        self,
        settings: Settings,
        trace: PjLog,
        recordings: RecordingStore,
        *,
        publish: Callable[[Call, sig.Publish, Findings], None],
        keep_findings: Callable[[Call, Findings], None],
        count_refusal: Callable[[Refusal], None],
        extend_quota: Callable[[Call, int], None],
        store_recording: Callable[[Call], None],
    ) -> None:
        """The callables hand work to the Redis thread and return at once.

        Raises pj.Error when the SIP stack cannot start, ConfigurationError for an unusable prompt.
        """
        self.settings = settings
        self.timers = Timers()
        self.trace = trace
        self.trunk = f"{settings.trunk.host}:{settings.trunk.port}"
        self.trunk_hosts = frozenset({settings.trunk.host.lower()})
        """Hosts that a redirection may name: they lead back to our trunk."""
        # Not below the recordings: a full disk there must cost a recording, not the engine.
        self._prompts_folder = TemporaryDirectory(prefix="dialbridge-prompts-")
        # Before the SIP stack: that must be shut down in order, or the process crashes when it ends.
        self.prompts = PromptLibrary(
            settings, clock_rate=bridge_rate(settings.trunk), cache=Path(self._prompts_folder.name)
        )
        self.endpoint = SipEndpoint(
            settings.sip, settings.trunk, capacity=settings.engine.capacity, log=trace
        )
        self.local_host = self.endpoint.address.rsplit(":", 1)[0]
        self.endpoint.play_hold_music(self.prompts.hold_music)
        self.publish = publish
        self.keep_findings = keep_findings
        self.count_refusal = count_refusal
        self.extend_quota = extend_quota
        self._recordings = recordings
        self._store_recording = store_recording
        self._sessions: dict[str, CallSession] = {}
        self._finishing: dict[int, CallSession] = {}
        """Sessions whose recorder is leaving the bridge, by bridge port."""
        self._ending: list[PartyCall] = []
        """Legs that are over for their calls, but not for pjsua2."""
        self._later: deque[Callable[[], None]] = deque()

    @property
    def is_idle(self) -> bool:
        return not self._sessions

    def turn(self) -> None:
        """One turn of the loop: SIP and its callbacks, then what they left to do, then timers."""
        self.endpoint.libHandleEvents(POLL_MS)
        while self._later:
            self._later.popleft()()
        if self._ending:
            self._ending = [party for party in self._ending if party.isActive()]
        while self.endpoint.removed_ports:
            self._port_removed(self.endpoint.removed_ports.popleft())
        self.timers.fire_due()

    def execute(self, command: Command) -> None:
        match command:
            case DialCommand(call):
                if call.id in self._sessions:
                    return
                session = self._sessions[call.id] = CallSession(call, self)
                session.handle(sig.DialRequested())
            case ReleaseCommand(call_id):
                self._tell(call_id, sig.ReleaseRequested())

    def recording_stored(self, call_id: str, path: str | None) -> None:
        self._tell(call_id, sig.RecordingFinished(path))

    def quota_granted(self, call_id: str, seconds: int) -> None:
        self._tell(call_id, sig.QuotaGranted(seconds))

    def ownership_lost(self, call_id: str) -> None:
        self._tell(call_id, sig.OwnershipLost())

    def end_all(self) -> None:
        """The grace of a shutdown is over: end every live call."""
        for session in [*self._sessions.values()]:
            session.handle(sig.EngineStopping())

    def load(self) -> Load:
        return Load(
            calls=sum(session.is_live for session in self._sessions.values()),
            legs=sum(session.leg_count for session in self._sessions.values()),
            bridge_ports=self.endpoint.call_ports,
            recorders=sum(session.records for session in self._sessions.values()),
            timers=len(self.timers),
            dialogs=self.endpoint.dialog_count(),
        )

    def close(self) -> None:
        self._sessions.clear()
        self._ending.clear()
        self.endpoint.close()
        self._prompts_folder.cleanup()

    # --- SessionHost

    def live_recordings(self, call: Call) -> tuple[Path, ...]:
        return self._recordings.live_paths(call.id, call.recording_channels)

    def finish_recording(self, session: CallSession, bridge_ports: frozenset[int]) -> None:
        self._finishing.update(dict.fromkeys(bridge_ports, session))

    def later(self, action: Callable[[], None]) -> None:
        self._later.append(action)

    def keep_until_over(self, party: PartyCall) -> None:
        self._ending.append(party)

    def forget(self, session: CallSession) -> None:
        self._sessions.pop(session.call.id, None)

    def _port_removed(self, bridge_port: int) -> None:
        """A recording is whole when the bridge has let go of all its recorders."""
        session = self._finishing.pop(bridge_port, None)
        if session is not None and session not in self._finishing.values():
            self._store_recording(session.call)

    def _tell(self, call_id: str, event: sig.Event) -> None:
        if session := self._sessions.get(call_id):
            session.handle(event)
