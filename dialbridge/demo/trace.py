"""The call's SIP messages as the engine publishes them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from config import load_settings
from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.lab_process import LabAccess
from state.connection import UNREACHABLE, connect
from state.keys import Keys
from state.sip_trace import SipMessage, SipTrace


class TraceReader:
    def __init__(self, lab: LabAccess) -> None:
        settings = load_settings(Path(lab.config))
        self._runner = asyncio.Runner()
        self._redis = connect(lab.redis_url)
        self._trace = SipTrace(self._redis, Keys(settings.redis.prefix), retention=settings.call.retention)
        self.messages: list[SipMessage] = []
        """All so far, in order."""

    def new_messages(self, call_id: str) -> list[SipMessage]:
        """What has come since the last time; raises DemoFailedError if Redis is gone."""
        try:
            messages = self._runner.run(self._trace.read(call_id))
        except UNREACHABLE as error:
            raise DemoFailedError("Redis", f"could not be read: {error}", process="lab") from error
        new = messages[len(self.messages) :]
        self.messages = messages
        return new

    def close(self) -> None:
        self._runner.run(self._redis.aclose())
        self._runner.close()
