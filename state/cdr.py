"""Call detail records: one for each call, written with its terminal event and never changed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis

from state.call import CallState, DisconnectionReason, Nested, PressedDigit, RecordingResult
from state.keys import Keys
from state.quality import LegQuality
from state.streams import read_stream


class CallDetailRecord(BaseModel):
    """What was known of a call when it ended; times are UTC, `duration` whole seconds since `connected`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    call_id: str = Field(validation_alias="id")
    enterprise_id: str
    client_id: str
    caller: str
    callee: str
    presented_number: str
    created_at: datetime
    connected_at: datetime | None = None
    """None: the parties never talked."""
    ended_at: datetime
    state: CallState
    """`disconnected` or `failed`."""
    reason: DisconnectionReason | None = None
    duration: int | None = None
    billed_seconds: int = 0
    """`duration` rounded up to `billing_increment`, and never more than was granted."""
    billing_increment: int = 1
    granted_seconds: int | None = None
    """Reserved in the enterprise's pool; None: the call needed none."""
    engine_id: str | None = None
    correlator: str | None = None
    recording_enabled: bool = False
    recording_result: RecordingResult | None = None
    """At the end of the call: a recording that another engine saves later counts as `fail` here."""
    recording_path: str | None = None
    caller_quality: Nested[LegQuality | None] = None
    callee_quality: Nested[LegQuality | None] = None
    digits: Nested[tuple[PressedDigit, ...]] = ()
    """Only with `call.record_digits`."""


class CallDetailRecords:
    """Written by `transition.lua`; kept as long as the records of ended calls (`call.retention`)."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.cdrs

    async def between(self, start: datetime, end: datetime) -> AsyncIterator[CallDetailRecord]:
        """Those written from `start` until before `end`, in the order in which they were written.

        By the clock of the Redis server. Raises one of `state.connection.UNREACHABLE`.
        """
        async for _, fields in read_stream(self._redis, self._key, start, end):
            yield CallDetailRecord.model_validate_json(fields["record"])
