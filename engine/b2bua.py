"""The back-to-back user agent: all calls of this process, on the PJ thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from config import Settings
from engine import signals as sig
from engine.call_machine import CallLimits
from engine.endpoint import SipEndpoint
from engine.session import CallSession
from engine.timers import Timers
from engine.tracing import PjLog
from media.recordings import RecordingStore
from state.call import Call
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


class B2bua:
    """Implements `engine.session.SessionHost`. Every method runs on the PJ thread."""

    def __init__(
        self,
        settings: Settings,
        trace: PjLog,
        recordings: RecordingStore,
        *,
        publish: Callable[[Call, sig.Publish], None],
        store_recording: Callable[[Call], None],
    ) -> None:
        """`publish` and `store_recording` hand work to the Redis thread and return at once."""
        self.timers = Timers()
        self.trace = trace
        self.trunk = f"{settings.trunk.host}:{settings.trunk.port}"
        self.ringback = settings.ringback
        self.endpoint = SipEndpoint(
            settings.sip, settings.trunk, capacity=settings.engine.capacity, log=trace
        )
        self.local_host = self.endpoint.address.rsplit(":", 1)[0]
        self.publish = publish
        self._limits = CallLimits(settings.call.no_answer_timeout, settings.call.max_duration)
        self._recordings = recordings
        self._store_recording = store_recording
        self._sessions: dict[str, CallSession] = {}
        self._finishing: dict[int, CallSession] = {}
        """Sessions whose recorder is leaving the bridge, by bridge port."""
        self._later: deque[Callable[[], None]] = deque()

    @property
    def is_idle(self) -> bool:
        return not self._sessions

    def turn(self) -> None:
        """One turn of the loop: SIP and its callbacks, then what they left to do, then timers."""
        self.endpoint.libHandleEvents(POLL_MS)
        while self._later:
            self._later.popleft()()
        while self.endpoint.removed_ports:
            if session := self._finishing.pop(self.endpoint.removed_ports.popleft(), None):
                self._store_recording(session.call)
        self.timers.fire_due()
        self.endpoint.account.drop_refused()

    def execute(self, command: Command) -> None:
        match command:
            case DialCommand(call):
                if call.id in self._sessions:
                    return
                session = self._sessions[call.id] = CallSession(call, self._limits, self)
                session.handle(sig.DialRequested())
            case ReleaseCommand(call_id):
                self._tell(call_id, sig.ReleaseRequested())

    def recording_stored(self, call_id: str, path: str | None) -> None:
        self._tell(call_id, sig.RecordingFinished(path))

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
            bridge_ports=self.endpoint.mediaActivePorts(),
            recorders=sum(session.records for session in self._sessions.values()),
            timers=len(self.timers),
        )

    def close(self) -> None:
        self._sessions.clear()
        self.endpoint.close()

    # --- SessionHost

    def live_recording(self, call_id: str) -> Path:
        return self._recordings.live_path(call_id)

    def finish_recording(self, session: CallSession, bridge_port: int) -> None:
        self._finishing[bridge_port] = session

    def later(self, action: Callable[[], None]) -> None:
        self._later.append(action)

    def forget(self, session: CallSession) -> None:
        self._sessions.pop(session.call.id, None)

    def _tell(self, call_id: str, event: sig.Event) -> None:
        if session := self._sessions.get(call_id):
            session.handle(event)
