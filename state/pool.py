"""The pool of minutes that an enterprise's members share, and the ledger of everything that changes it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from config import PoolSettings
from state.connection import load_script, stream_entries
from state.keys import Keys
from state.streams import added_at, read_stream

MINUTE = 60


class EntryKind(StrEnum):
    TOP_UP = "top_up"
    RENEWAL = "renewal"
    EXPIRY = "expiry"
    CALL = "call"


class LedgerEntry(BaseModel):
    """One change of a pool's balance."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Of the entry in its stream."""
    at: datetime
    """UTC, by the clock of the Redis server."""
    kind: EntryKind
    reference: str
    """The call's id, the month (2026-11), or what whoever topped up has said."""
    seconds: int
    """Negative: less than before."""
    balance: int
    """Seconds, afterwards."""

    @classmethod
    def read(cls, entry_id: str, fields: Mapping[str, str]) -> LedgerEntry:
        return cls.model_validate({"id": entry_id, "at": added_at(entry_id), **fields})


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """Seconds."""

    balance: int
    reserved: int
    """Of the balance: what live calls may use."""
    month: str | None
    """The one whose minutes came last (2026-11)."""
    is_low: bool
    """The balance is below its low-water mark, and the alarm was raised."""

    @property
    def free(self) -> int:
        return self.balance - self.reserved


class TopUpResult(StrEnum):
    ADDED = "added"
    REPEATED = "repeated"
    """It was added before, by the same reference."""
    REFERENCE_USED = "reference_used"
    """For another amount."""


class NoPoolError(Exception):
    """The message names the enterprise, and may be shown to whoever administers it."""


class MinutePools:
    """Calls reserve and settle in the scripts that create and end them (`state.calls`).

    Every method may raise one of `state.connection.UNREACHABLE`.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._extend = load_script(redis, "pool", "extend_reservation")
        self._show = load_script(redis, "pool", "show_pool")
        self._top_up = load_script(redis, "pool", "top_up_pool")

    async def extend(self, call_id: str, epoch: int, granted: int) -> int | None:
        """Reserve more than the `granted` seconds for a live call; how many it has in all by now.

        As many as before if nothing is free. None: the call has ended, or its owner is another.
        """
        total: int = await self._extend(
            keys=[self._keys.call(call_id)], args=[self._keys.root, call_id, epoch, granted]
        )
        return None if total < 0 else total

    async def show(
        self, enterprise_id: str, settings: PoolSettings, at: datetime | None = None
    ) -> PoolStatus:
        """With the minutes of the month that has begun. `at`: instead of the time of the Redis server."""
        balance, reserved, month, low = await self._show(
            keys=[self._keys.pool(enterprise_id)],
            args=[
                self._keys.root,
                enterprise_id,
                script_settings(settings),
                "" if at is None else int(at.timestamp()),
            ],
        )
        return PoolStatus(balance, reserved, month or None, is_low=low == "1")

    async def top_up(
        self, enterprise_id: str, settings: PoolSettings, *, seconds: int, reference: str
    ) -> TopUpResult:
        """Once for each reference, however often it is asked."""
        answer = await self._top_up(
            keys=[self._keys.pool_references(enterprise_id)],
            args=[
                self._keys.root,
                enterprise_id,
                script_settings(settings),
                seconds,
                reference,
            ],
        )
        return TopUpResult(answer)

    async def balances(self) -> dict[str, int]:
        """Seconds by enterprise, as of the last look at each pool; without those that never had any."""
        ids: Any = await self._redis.smembers(self._keys.enterprises)
        async with self._redis.pipeline(transaction=False) as pipe:
            for enterprise_id in ids:
                pipe.hget(self._keys.pool(enterprise_id), "balance")
            balances = await pipe.execute()
        return {one: int(balance) for one, balance in zip(ids, balances, strict=True) if balance is not None}

    async def has_ledger(self, enterprise_id: str) -> bool:
        return bool(await self._redis.exists(self._keys.ledger(enterprise_id)))

    async def ledger(
        self,
        enterprise_id: str,
        start: datetime | None = None,
        end: datetime | None = None,
        after: str | None = None,
    ) -> AsyncIterator[LedgerEntry]:
        """What changed from `start` until before `end`, in order; `after`: behind the entry of that id."""
        key = self._keys.ledger(enterprise_id)
        async for entry_id, fields in read_stream(self._redis, key, start, end, after):
            yield LedgerEntry.read(entry_id, fields)


class LowWater(BaseModel):
    """A pool's balance has fallen below its low-water mark."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Of the alarm in its stream, and of the event that tells of it."""
    enterprise_id: str
    at: datetime
    """UTC, by the clock of the Redis server."""
    balance: int
    """Seconds, as is the next one."""
    low_water: int

    @property
    def owner(self) -> str:
        """Whose events are delivered in order."""
        return f"pool:{self.enterprise_id}"


class PoolAlarms:
    """Raised by `pool.lua`, read by all notifiers, and told by one of them.

    Every method may raise one of `state.connection.UNREACHABLE`.
    """

    def __init__(self, redis: Redis, keys: Keys, *, retention: int) -> None:
        """`retention`: seconds that dead letters are kept."""
        self._redis = redis
        self._keys = keys
        self._retention = retention
        self._tell = load_script(redis, "tell_low_water")

    async def read(self, wait: float) -> list[LowWater]:
        """Those that nobody has told yet; waits `wait` seconds at most for the first one."""
        answer: Any = await self._redis.xread({self._keys.pool_alarms: "0"}, block=int(wait * 1000))
        return [
            LowWater.model_validate({"id": alarm_id, "at": added_at(alarm_id), **fields})
            for alarm_id, fields in stream_entries(answer or [])
        ]

    async def tell(self, alarm: LowWater, sink: str | None) -> bool:
        """Put the event into the outbox, if there is a sink. False: another notifier has done it."""
        keys = self._keys
        told = await self._tell(
            keys=[
                keys.pool_alarms,
                keys.pool_events(alarm.enterprise_id),
                keys.outbox(alarm.owner),
                keys.outbox_due,
                keys.outbox_wake,
                keys.dead_letters,
            ],
            args=[
                alarm.id,
                alarm.owner,
                alarm.model_dump_json(),
                alarm.enterprise_id,
                sink or "",
                self._retention * 1000,
            ],
        )
        return bool(told)


def script_settings(settings: PoolSettings) -> str:
    """As `pool.lua` reads them."""

    def seconds(minutes: int | None) -> int | str:
        return "" if minutes is None else minutes * MINUTE

    values: dict[str, Any] = {
        "minimum": settings.minimum,
        "increment": settings.increment,
        "slice": settings.slice,
        "monthly": seconds(settings.monthly_minutes),
        "carry_over": int(settings.carry_over),
        "low_water": seconds(settings.low_water_minutes),
    }
    return json.dumps(values)
