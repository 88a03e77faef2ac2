"""Whether pools, ledgers and call detail records agree, to the second."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from state.cdr import CallDetailRecord
from state.keys import Keys
from state.pool import EntryKind, LedgerEntry
from state.streams import milliseconds, read_stream


@dataclass(frozen=True, slots=True)
class Discrepancy:
    enterprise_id: str
    what: str
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """All of one moment."""

    balance: int
    reserved: int
    reservations: dict[str, int]
    """Seconds by call."""
    live_calls: frozenset[str]
    last_entry: str | None
    """The id of the ledger's."""


class PoolCheck:
    """Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys, *, retention: int) -> None:
        """`retention`: seconds that call detail records are kept."""
        self._redis = redis
        self._keys = keys
        self._retention = timedelta(seconds=retention)

    async def run(self, enterprise_ids: Sequence[str]) -> list[Discrepancy]:
        """While calls come and go: what happens after the first look is left out."""
        now, last_record, pools = await self._look(enterprise_ids)
        records = await self._records(enterprise_ids, last_record, now)
        found: list[Discrepancy] = []
        for enterprise_id, pool in pools.items():
            entries = await self._entries(enterprise_id, pool.last_entry)
            for what, call_id in (
                *_wrong_sums(pool, entries),
                *_wrong_reservations(pool),
                *_wrong_calls(records[enterprise_id], entries, kept_since=now - self._retention),
            ):
                found.append(Discrepancy(enterprise_id, what, call_id))
        return found

    async def _look(
        self, enterprise_ids: Sequence[str]
    ) -> tuple[datetime, str | None, dict[str, PoolSnapshot]]:
        keys = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.time()
            pipe.xrevrange(keys.cdrs, count=1)
            for enterprise_id in enterprise_ids:
                pipe.hmget(keys.pool(enterprise_id), ["balance", "reserved"])
                pipe.hgetall(keys.pool_reserved(enterprise_id))
                pipe.smembers(keys.enterprise_calls(enterprise_id))
                pipe.xrevrange(keys.ledger(enterprise_id), count=1)
            time, records, *flat = await pipe.execute()
        pools = {
            enterprise_id: PoolSnapshot(
                balance=int(sums[0] or 0),
                reserved=int(sums[1] or 0),
                reservations={call_id: int(seconds) for call_id, seconds in reservations.items()},
                live_calls=frozenset(live),
                last_entry=_id_of(entries),
            )
            for enterprise_id, sums, reservations, live, entries in zip(
                enterprise_ids, flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True
            )
        }
        return datetime.fromtimestamp(time[0] + time[1] / 1e6, UTC), _id_of(records), pools

    async def _records(
        self, enterprise_ids: Sequence[str], last: str | None, now: datetime
    ) -> dict[str, list[CallDetailRecord]]:
        """Of the calls that needed a pool, by enterprise; also of those that were erased."""
        texts: list[str] = []
        async for entry_id, fields in read_stream(self._redis, self._keys.cdrs):
            if last is None or _order(entry_id) > _order(last):
                break
            texts.append(fields["record"])
        # Last: one that is erased meanwhile is found twice rather than not at all.
        masked: Any = await self._redis.zrangebyscore(self._keys.cdrs_masked, "-inf", milliseconds(now))
        by_call = {
            record.call_id: record for record in map(CallDetailRecord.model_validate_json, [*masked, *texts])
        }
        records: dict[str, list[CallDetailRecord]] = defaultdict(list)
        for record in by_call.values():
            if record.granted_seconds is not None and record.enterprise_id in enterprise_ids:
                records[record.enterprise_id].append(record)
        return records

    async def _entries(self, enterprise_id: str, last: str | None) -> list[LedgerEntry]:
        entries: list[LedgerEntry] = []
        async for entry_id, fields in read_stream(self._redis, self._keys.ledger(enterprise_id)):
            if last is None or _order(entry_id) > _order(last):
                break
            entries.append(LedgerEntry.read(entry_id, fields))
        return entries


Wrong = Iterator[tuple[str, str | None]]
"""What is, and of which call."""


def _wrong_sums(pool: PoolSnapshot, entries: Sequence[LedgerEntry]) -> Wrong:
    total = 0
    for entry in entries:
        total += entry.seconds
        if entry.balance != total:
            yield f"ledger entry {entry.id} tells a balance of {entry.balance}, the sum is {total}", None
    if total != pool.balance:
        yield f"the balance is {pool.balance}, the sum of the ledger {total}", None
    if pool.balance < pool.reserved:
        yield f"the balance is {pool.balance}, of which {pool.reserved} are reserved", None


def _wrong_reservations(pool: PoolSnapshot) -> Wrong:
    if (total := sum(pool.reservations.values())) != pool.reserved:
        yield f"{pool.reserved} are reserved, by calls {total}", None
    for call_id in pool.reservations.keys() - pool.live_calls:
        yield f"{pool.reservations[call_id]} are reserved for a call that does not live", call_id


def _wrong_calls(
    records: Sequence[CallDetailRecord], entries: Sequence[LedgerEntry], *, kept_since: datetime
) -> Wrong:
    paid: dict[str, list[int]] = defaultdict(list)
    for entry in entries:
        if entry.kind is EntryKind.CALL:
            paid[entry.reference].append(-entry.seconds)
    for record in records:
        if record.billed_seconds != (due := due_for(record)):
            yield f"{record.billed_seconds} were billed, {due} were due", record.call_id
        taken = paid.pop(record.call_id, [])
        if taken != ([record.billed_seconds] if record.billed_seconds else []):
            yield f"{record.billed_seconds} were billed, the ledger has {taken}", record.call_id
    for entry in entries:
        if entry.reference in paid and entry.at > kept_since:
            yield f"ledger entry {entry.id} has no call detail record", entry.reference


def due_for(record: CallDetailRecord) -> int:
    """Seconds that are to be billed."""
    due = math.ceil((record.duration or 0) / record.billing_increment) * record.billing_increment
    return due if record.granted_seconds is None else min(due, record.granted_seconds)


def _id_of(entries: Any) -> str | None:
    return entries[0][0] if entries else None


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)
