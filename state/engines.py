"""The engines that are alive: registration, heartbeat, commands, and what a lost engine leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from state.call import Call
from state.connection import load_script, stream_entries
from state.keys import Keys


class EngineState(StrEnum):
    UP = "up"
    DRAINING = "draining"
    """Live calls go on, new ones go elsewhere."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One heartbeat of an engine; the counts are of what it holds right now."""

    engine_id: str
    """Unique per process start, so that one that comes back is not taken for the one that was lost."""
    name: str
    pid: int
    state: EngineState
    capacity: int
    sip_address: str
    calls: int
    legs: int
    bridge_ports: int
    recorders: int
    timers: int
    dialogs: int = 0
    """SIP dialogs not over yet; a BYE that nobody answers keeps one for 32 s (RFC 3261, timer F)."""
    can_record: bool = True
    """Whether there is room on its disk for another recording."""


@dataclass(frozen=True, slots=True)
class DialCommand:
    call: Call


@dataclass(frozen=True, slots=True)
class ReleaseCommand:
    call_id: str


Command = DialCommand | ReleaseCommand


class EngineRegistry:
    """All engines on this Redis. Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys, *, lost_after: float) -> None:
        self._redis = redis
        self._keys = keys
        self._lost_after_ms = int(lost_after * 1000)
        self._heartbeat = load_script(redis, "heartbeat")
        self._retire_lost = load_script(redis, "retire_lost")

    async def heartbeat(self, status: EngineStatus) -> None:
        keys = self._keys
        flat: list[str | int] = []
        for field, value in asdict(status).items():
            flat += [field, int(value) if isinstance(value, bool) else value]
        await self._heartbeat(
            keys=[keys.engines, keys.engine(status.engine_id)], args=[status.engine_id, *flat]
        )

    async def retire(self, engine_id: str) -> None:
        """Forget an engine that ended in order, or whose calls have all been ended."""
        keys = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(keys.engines, engine_id)
            pipe.delete(keys.engine(engine_id), keys.commands(engine_id), keys.engine_calls(engine_id))
            await pipe.execute()

    async def retire_lost(self, engine_id: str) -> bool:
        """Forget an engine if it is still silent and none of its calls lives."""
        keys = self._keys
        answer = await self._retire_lost(
            keys=[
                keys.engines,
                keys.engine(engine_id),
                keys.commands(engine_id),
                keys.engine_calls(engine_id),
            ],
            args=[engine_id, self._lost_after_ms],
        )
        return bool(answer)

    async def read_commands(self, engine_id: str, after: str, block: float) -> tuple[str, list[Command]]:
        """Commands later than stream id `after`, and the id of the last one; waits `block` seconds at most.

        What was read before is trimmed: an engine is the only reader of its stream.
        """
        stream = self._keys.commands(engine_id)
        answer = await self._redis.xread({stream: after}, block=int(block * 1000))
        commands: list[Command] = []
        last = after
        for entry_id, fields in stream_entries(answer):
            last = entry_id
            commands.append(_parse(fields))
        if commands:
            await self._redis.xtrim(stream, minid=last, approximate=False)
        return last, commands

    async def statuses(self) -> list[EngineStatus]:
        """Engines whose heartbeat is fresh."""
        return [s for s in [await self._status(e) for e in await self._ids(lost=False)] if s is not None]

    async def lost(self) -> list[str]:
        """Ids of engines that fell silent without retiring."""
        return await self._ids(lost=True)

    async def calls_of(self, engine_id: str) -> set[str]:
        """Ids of the live calls an engine owns."""
        members: Any = await self._redis.smembers(self._keys.engine_calls(engine_id))
        return set(members)

    async def _ids(self, *, lost: bool) -> list[str]:
        seconds, microseconds = await self._redis.time()
        limit = seconds * 1000 + microseconds // 1000 - self._lost_after_ms
        low, high = ("-inf", f"({limit}") if lost else (str(limit), "+inf")
        ids: Any = await self._redis.zrangebyscore(self._keys.engines, low, high)
        return list(ids)

    async def _status(self, engine_id: str) -> EngineStatus | None:
        fields: Any = await self._redis.hgetall(self._keys.engine(engine_id))
        if not fields:
            return None
        return EngineStatus(
            engine_id=engine_id,
            name=fields["name"],
            pid=int(fields["pid"]),
            state=EngineState(fields["state"]),
            capacity=int(fields["capacity"]),
            sip_address=fields["sip_address"],
            calls=int(fields["calls"]),
            legs=int(fields["legs"]),
            bridge_ports=int(fields["bridge_ports"]),
            recorders=int(fields["recorders"]),
            timers=int(fields["timers"]),
            dialogs=int(fields["dialogs"]),
            can_record=fields["can_record"] == "1",
        )


def _parse(fields: Mapping[str, str]) -> Command:
    if fields["command"] == "dial":
        return DialCommand(Call.model_validate(json.loads(fields["record"])))
    return ReleaseCommand(fields["call_id"])
