"""Erasing what is kept of calls, on request. A call detail record is a billing document: it stays, with its
numbers masked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from state.call import Call, mask_number
from state.connection import load_script
from state.keys import Keys
from state.streams import added_at, milliseconds, read_stream


class LiveCallError(Exception):
    """A call that lives cannot be erased; the message names it."""


@dataclass(frozen=True, slots=True)
class ErasableCall:
    id: str
    enterprise_id: str
    is_live: bool


def _numbers(record: dict[str, Any]) -> set[str]:
    """The parties', and what a redirection had us dial."""
    attempts: list[dict[str, Any]] = json.loads(record.get("attempts", "[]"))
    return {record["caller"], record["callee"], *(attempt["dialled"] for attempt in attempts)}


class Erasure:
    """Whatever is interrupted can be repeated: the call detail record, by which a call is found, comes last.

    Every method may raise one of `state.connection.UNREACHABLE`.
    """

    def __init__(self, redis: Redis, keys: Keys, *, retention: int) -> None:
        """`retention`: seconds that call detail records are kept."""
        self._redis = redis
        self._keys = keys
        self._retention = retention
        self._erase_call = load_script(redis, "erase_call")
        self._void_fingerprint = load_script(redis, "void_fingerprint")
        self._mask_cdr = load_script(redis, "mask_cdr")

    async def find(self, call_id: str) -> ErasableCall | None:
        """None also for a call that was erased already."""
        if (call := await self._record(call_id)) is not None:
            return call
        async for _, record in self._cdrs():
            if record["id"] == call_id:
                return ErasableCall(call_id, record["enterprise_id"], is_live=False)
        return None

    async def calls_of(self, number: str) -> list[ErasableCall]:
        """Those in which it was a party, and those in which it is."""
        found = {
            record["id"]: ErasableCall(record["id"], record["enterprise_id"], is_live=False)
            async for _, record in self._cdrs()
            if number in _numbers(record)
        }
        for engine_id in await self._engines():
            ids: Any = await self._redis.smembers(self._keys.engine_calls(engine_id))
            for call_id in ids:
                fields: Any = await self._redis.hmget(self._keys.call(call_id), "caller", "callee")
                if number in fields and (call := await self._record(call_id)) is not None:
                    found[call_id] = call
        return list(found.values())

    async def erase(self, call_ids: Collection[str]) -> None:
        """Everything of these calls. Raises LiveCallError before anything of that call is deleted."""
        for call_id in call_ids:
            await self._erase_own_keys(call_id)
        await self._erase_dead_letters(call_ids)
        await self._erase_commands(call_ids)
        await self._erase_fingerprints(call_ids)
        await self._uncount(call_ids)
        async for entry_id, record in self._cdrs():
            if record["id"] in call_ids:
                await self._mask(entry_id, record)

    async def erase_number(self, number: str) -> None:
        """What belongs to no call and whose key names the number, such as counters."""
        async for key in self._redis.scan_iter(match=self._keys.naming(number), count=1000):
            if number in key.split(":"):  # not a longer number that begins with it
                await self._redis.delete(key)

    async def memberships(self, number: str) -> list[str]:
        """Ids of the enterprises whose member it is."""
        ids: Any = await self._redis.smembers(self._keys.enterprises)
        return [one for one in sorted(ids) if await self._is_member(one, number)]

    async def end_membership(self, enterprise_id: str, number: str) -> None:
        deletion: Any = self._redis.hdel(self._keys.members(enterprise_id), number)
        await deletion

    async def _is_member(self, enterprise_id: str, number: str) -> bool:
        answer: Any = await self._redis.hexists(self._keys.members(enterprise_id), number)
        return bool(answer)

    async def _record(self, call_id: str) -> ErasableCall | None:
        fields: Any = await self._redis.hgetall(self._keys.call(call_id))
        if not fields:
            return None
        call = Call.model_validate(fields)
        return ErasableCall(call_id, call.enterprise_id, is_live=not call.state.is_terminal)

    async def _cdrs(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        async for entry_id, fields in read_stream(self._redis, self._keys.cdrs):
            yield entry_id, json.loads(fields["record"])

    async def _engines(self) -> list[str]:
        ids: Any = await self._redis.zrange(self._keys.engines, 0, -1)
        return list(ids)

    async def _erase_own_keys(self, call_id: str) -> None:
        keys = self._keys
        erased = await self._erase_call(
            keys=[
                keys.call(call_id),
                keys.events(call_id),
                keys.sip(call_id),
                keys.outbox(call_id),
                keys.outbox_attempt(call_id),
                keys.outbox_due,
            ],
            args=[keys.root, call_id],
        )
        if not erased:
            raise LiveCallError(f"the call {call_id} is live")

    async def _erase_dead_letters(self, call_ids: Collection[str]) -> None:
        key = self._keys.dead_letters
        async for letter_id, fields in read_stream(self._redis, key):
            if json.loads(fields["event"]).get("call_id") in call_ids:
                await self._redis.xdel(key, letter_id)

    async def _erase_commands(self, call_ids: Collection[str]) -> None:
        """An engine leaves the command that it has read last in its stream."""
        for engine_id in await self._engines():
            key = self._keys.commands(engine_id)
            async for entry_id, fields in read_stream(self._redis, key):
                if fields["call_id"] in call_ids:
                    await self._redis.xdel(key, entry_id)

    async def _erase_fingerprints(self, call_ids: Collection[str]) -> None:
        """One is made of the numbers, too. Its key stays used up: the request makes no second call."""
        async for key in self._redis.scan_iter(match=self._keys.idempotencies, count=1000):
            kept: Any = await self._redis.hget(key, "call_id")
            if kept in call_ids:
                await self._void_fingerprint(keys=[key])

    async def _uncount(self, call_ids: Collection[str]) -> None:
        """Limits on how often numbers call and are called do not count the calls any more."""
        if not call_ids:
            return
        async for key in self._redis.scan_iter(match=self._keys.rates, count=1000):
            removal: Any = self._redis.zrem(key, *call_ids)
            await removal

    async def _mask(self, entry_id: str, record: dict[str, Any]) -> None:
        kept = {name: value for name, value in record.items() if name not in ("digits", "recording_path")}
        text = json.dumps(kept, ensure_ascii=False)
        for number in sorted(_numbers(record), key=len, reverse=True):  # one may begin with another
            text = text.replace(number, mask_number(number))
        await self._mask_cdr(
            keys=[self._keys.cdrs, self._keys.cdrs_masked],
            args=[entry_id, milliseconds(added_at(entry_id)), text, self._retention],
        )
