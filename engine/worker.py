"""The engine process: the PJ thread's loop, from start to drained."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import asdict, replace
from types import FrameType
from uuid import uuid4

import structlog

from config import Settings
from engine.b2bua import B2bua
from engine.file_limit import raise_file_limit
from engine.redis_link import OwnershipLost, QuotaGranted, RecordingStored, RedisLink
from engine.tracing import PjLog
from media.recordings import RecordingStore
from state.engines import EngineState, EngineStatus

log = structlog.get_logger("engine")

STATUS_INTERVAL = 0.5
"""Seconds between two counts of what the process holds."""
CLOSING_TIME = 5.0
"""Seconds after the grace for BYEs to be answered and the last events to be written."""


class Worker:
    """Owns everything pjsua2: make and run it on the main thread."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        """Raises pj.Error when the SIP stack cannot start."""
        name = settings.engine.name or socket.gethostname()
        engine_id = f"{name}-{uuid4().hex[:8]}"
        recordings = self._recordings = RecordingStore(settings.recording, engine_id)
        self._grace = settings.engine.shutdown_grace
        self._status = EngineStatus(
            engine_id=engine_id,
            name=name,
            pid=os.getpid(),
            state=EngineState.UP,
            capacity=raise_file_limit(settings.engine.capacity),
            sip_address="",
            calls=0,
            legs=0,
            bridge_ports=0,
            recorders=0,
            timers=0,
        )
        self._link = RedisLink(settings, redis_url, recordings, self._status)
        trace = PjLog(
            settings.sip.log_level,
            self._link.publish_sip if settings.sip.trace else None,
            with_digits=settings.call.record_digits,
        )
        self._b2bua = B2bua(
            settings,
            trace,
            recordings,
            publish=self._link.publish,
            keep_findings=self._link.keep_findings,
            count_refusal=self._link.count_refusal,
            extend_quota=self._link.extend_quota,
            store_recording=self._link.store_recording,
        )
        self._status = replace(self._status, sip_address=self._b2bua.endpoint.address)
        self._stop_asked = False
        self._next_status = 0.0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, then drain: no new calls, live ones get `shutdown_grace` seconds.

        The exit status: 1 if it had to end by itself.
        """
        signal.signal(signal.SIGTERM, self._ask_stop)
        signal.signal(signal.SIGINT, self._ask_stop)
        self._report()
        self._link.start()
        log.info("engine up", engine=self._status.engine_id, sip=self._status.sip_address)
        while not self._stop_asked and not self._link.broken:
            self._turn()
        self._drain()
        return 1 if self._link.broken else 0

    def _ask_stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop_asked = True

    def _turn(self) -> None:
        self._b2bua.turn()
        while self._link.inbox:
            match self._link.inbox.popleft():
                case RecordingStored(call_id, path):
                    self._b2bua.recording_stored(call_id, path)
                case QuotaGranted(call_id, seconds):
                    self._b2bua.quota_granted(call_id, seconds)
                case OwnershipLost(call_id):
                    self._b2bua.ownership_lost(call_id)
                case command:
                    self._b2bua.execute(command)
        if time.monotonic() >= self._next_status:
            self._report()

    def _report(self) -> None:
        self._next_status = time.monotonic() + STATUS_INTERVAL
        self._status = replace(self._status, **asdict(self._b2bua.load()))
        self._link.status = self._status

    def _drain(self) -> None:
        self._status = replace(self._status, state=EngineState.DRAINING)
        self._report()
        self._link.beat_now()
        log.info("draining", calls=self._status.calls, grace=self._grace)
        self._run_until_idle(self._grace)
        self._b2bua.end_all()
        self._run_until_idle(CLOSING_TIME)
        self._b2bua.trace.close()
        self._link.stop(CLOSING_TIME)
        self._b2bua.close()
        self._recordings.close()
        log.info("engine down", engine=self._status.engine_id)

    def _run_until_idle(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._turn()
        while not self._b2bua.is_idle and time.monotonic() < until:
            self._turn()
