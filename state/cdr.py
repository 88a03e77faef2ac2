"""Call detail records: one for each call, written with its terminal event. Nothing changes it but the
erasure of the call (state/erasure.py)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis
from redis.asyncio.lock import Lock

from state.attempts import LegAttempt
from state.call import CallState, DisconnectionReason, Generation, Nested, PressedDigit, RecordingResult
from state.connection import load_script
from state.keys import Keys
from state.quality import LegQuality
from state.streams import added_at, milliseconds, read_stream


class CallDetailRecord(BaseModel):
    """What was known of a call when it ended; times are UTC, `duration` whole seconds since `connected`."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    call_id: str = Field(validation_alias="id")
    generation: Generation = "camara"
    """Of the API that placed the call."""
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
    attempts: Nested[tuple[LegAttempt, ...]] = ()
    """At both parties, in order. Of a call whose engine died, those known by then, without an end."""


class CallDetailRecords:
    """Written by `transition.lua`; kept as long as the records of ended calls (`call.retention`)."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.cdrs
        self._masked = keys.cdrs_masked

    async def between(self, start: datetime, end: datetime) -> AsyncIterator[CallDetailRecord]:
        """Those written from `start` until before `end`, in the order in which they were written.

        By the clock of the Redis server. Raises one of `state.connection.UNREACHABLE`.
        """
        span = (milliseconds(start), f"({milliseconds(end)}")
        pairs: Any = await self._redis.zrangebyscore(self._masked, *span, withscores=True)
        masked = deque(pairs)
        async for entry_id, fields in read_stream(self._redis, self._key, start, end):
            while masked and masked[0][1] <= milliseconds(added_at(entry_id)):
                yield CallDetailRecord.model_validate_json(masked.popleft()[0])
            yield CallDetailRecord.model_validate_json(fields["record"])
        for record, _ in masked:
            yield CallDetailRecord.model_validate_json(record)

    async def oldest(self) -> datetime | None:
        """When the first of those that are kept was written."""
        entries: Any = await self._redis.xrange(self._key, count=1)
        masked: Any = await self._redis.zrange(self._masked, 0, 0, withscores=True)
        times = [added_at(entry_id) for entry_id, _ in entries]
        times += [datetime.fromtimestamp(score / 1000, UTC) for _, score in masked]
        return min(times, default=None)


LOCK_LEASE = 30.0
"""Seconds after which another notifier may take the place of one that died while it wrote."""


class WrittenRecords:
    """Up to when call detail records are in files. All times are the Redis server's.

    Every method may raise one of `state.connection.UNREACHABLE`.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.cdrs_written
        self._writer = keys.cdrs_writer
        self._advance = load_script(redis, "advance_cdrs_written")

    def lock(self) -> Lock:
        """Who has it writes; to be extended while that takes its time."""
        return self._redis.lock(self._writer, timeout=LOCK_LEASE, blocking=False, thread_local=False)

    async def now(self) -> datetime:
        seconds, microseconds = await self._redis.time()
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)

    async def until(self) -> datetime | None:
        """None: nothing was ever written."""
        kept = await self._redis.get(self._key)
        return None if kept is None else datetime.fromtimestamp(int(kept), UTC)

    async def advance(self, former: datetime | None, until: datetime) -> bool:
        """False: somebody else has advanced it. Both are whole seconds."""
        known = "" if former is None else int(former.timestamp())
        return bool(await self._advance(keys=[self._key], args=[known, int(until.timestamp())]))
