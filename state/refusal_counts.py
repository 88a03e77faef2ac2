"""How often each rule of policy refused a number or a call, counted over all processes and their restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from state.keys import Keys


@dataclass(frozen=True, slots=True)
class Refused:
    what: Literal["call", "redirection"]
    """A call that a client asked for, or a number that a network's 3xx named."""
    rule: str
    origin: str
    """Whose rule it is."""


class RefusalCounts:
    """Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def add(self, refused: Refused) -> None:
        field = json.dumps([refused.what, refused.rule, refused.origin])
        await self._redis.hincrby(self._keys.refusal_counts, field, 1)

    async def read(self) -> dict[Refused, int]:
        counts = await self._redis.hgetall(self._keys.refusal_counts)
        return {Refused(*json.loads(field)): int(count) for field, count in counts.items()}
