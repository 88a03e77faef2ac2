"""At most so many calls in so long a time: exact, and only calls that were made count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from config import EnterprisePolicy
from state.call import Call, CallEvent, CallState, utc_now
from state.calls import (
    CallStore,
    CreationResult,
    Duplicate,
    Idempotency,
    Limits,
    NoRoom,
    Placed,
    RateLimit,
    Repeated,
    TooOften,
)
from state.engines import DialCommand, EngineRegistry, EngineState, EngineStatus
from state.keys import Keys

pytestmark = pytest.mark.anyio

DAY = 86400
SUBJECT = ("callee", "+447700900002")

_numbers: Iterator[str] = (f"+4420{number:08d}" for number in count())


@pytest.fixture
def store(redis: Redis, keys: Keys) -> CallStore:
    return CallStore(redis, keys, retention=100, engine_lost_after=5)


@pytest.fixture
def registry(redis: Redis, keys: Keys) -> EngineRegistry:
    return EngineRegistry(redis, keys, lost_after=5)


def engine(capacity: int = 10) -> EngineStatus:
    return EngineStatus("e1", "e1", 1, EngineState.UP, capacity, "127.0.0.1:5060", 0, 0, 0, 0, 0)


async def place(
    store: CallStore,
    *rates: RateLimit,
    pair: tuple[str, str] | None = None,
    idempotency: Idempotency | None = None,
    policy: EnterprisePolicy | None = None,
) -> CreationResult:
    """A call, between numbers that have no other if no `pair` is given."""
    caller, callee = pair or (next(_numbers), next(_numbers))
    call = Call(
        id=str(uuid4()),
        client_id="client",
        enterprise_id="acme",
        caller=caller,
        callee=callee,
        presented_number="+441632960000",
        created_at=utc_now(),
        policy=policy or EnterprisePolicy(),
    )
    first = CallEvent(id=f"e{caller}", call_id=call.id, state=CallState.INITIATING, at=call.created_at)
    return await store.create(call, first, limits=Limits(rates=rates), idempotency=idempotency)


async def test_no_more_than_allowed_however_they_come(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine(capacity=100))
    limit = RateLimit(SUBJECT, 7, DAY)
    results = await asyncio.gather(*(place(store, limit) for _ in range(40)))
    assert sum(isinstance(result, Placed) for result in results) == 7
    assert sum(isinstance(result, TooOften) for result in results) == 33


async def test_each_subject_is_counted_for_itself(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine())
    one, other = RateLimit(("caller", "a"), 1, DAY), RateLimit(("caller", "b"), 1, DAY)
    assert isinstance(await place(store, one), Placed)
    assert isinstance(await place(store, other), Placed)
    assert isinstance(await place(store, one), TooOften)
    assert isinstance(await place(store), Placed), "no limit"


async def test_the_limit_that_lasts_longest_is_told(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine())
    limits = (RateLimit(SUBJECT, 1, 60), RateLimit(SUBJECT, 1, DAY), RateLimit(("caller", "a"), 5, 3600))
    assert isinstance(await place(store, *limits), Placed)
    refused = await place(store, *limits)
    assert isinstance(refused, TooOften)
    assert refused.index == 1
    assert DAY - 60 < refused.retry_after <= DAY


async def test_the_oldest_call_makes_room_when_its_time_has_passed(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    """The call made longest ago is moved into the past, instead of waiting for it to get there."""
    await registry.heartbeat(engine())
    limit = RateLimit(SUBJECT, 2, 3600)
    name = keys.rate(SUBJECT, 3600)
    for _ in range(2):
        assert isinstance(await place(store, limit), Placed)
    made: Any = await redis.zrange(name, 0, -1, withscores=True)
    oldest, at = made[0]
    await redis.zadd(name, {oldest: at - 3000_000})
    refused = await place(store, limit)
    assert isinstance(refused, TooOften)
    assert 540 < refused.retry_after <= 600
    await redis.zadd(name, {oldest: at - 3600_000})
    assert isinstance(await place(store, limit), Placed)
    assert await redis.zscore(name, oldest) is None, "nobody counts it any more"
    assert isinstance(await place(store, limit), TooOften)
    assert 0 < await redis.pttl(name) <= 3600_000


async def test_what_was_refused_does_not_count(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    limit, other = RateLimit(SUBJECT, 1, DAY), RateLimit(("caller", "a"), 1, DAY)
    assert isinstance(await place(store, limit), NoRoom)
    await registry.heartbeat(engine())
    pair = next(_numbers), next(_numbers)
    assert isinstance(await place(store, pair=pair), Placed)
    assert isinstance(await place(store, limit, pair=pair), Duplicate)
    assert isinstance(await place(store, limit), Placed)
    assert isinstance(await place(store, limit, other), TooOften)
    assert await redis.zcard(keys.rate(other.subject, DAY)) == 0
    assert isinstance(await place(store, other), Placed)


async def test_a_repeated_request_neither_counts_nor_is_refused(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    await registry.heartbeat(engine())
    limits = RateLimit(SUBJECT, 1, DAY), RateLimit(("caller", "a"), 1, DAY)
    idempotency = Idempotency("key", "fingerprint", 60)
    assert isinstance(await place(store, *limits, idempotency=idempotency), Placed)
    assert isinstance(await place(store, *limits, idempotency=idempotency), Repeated)
    assert await redis.zcard(keys.rate(SUBJECT, DAY)) == 1


async def test_the_engine_alone_is_told_the_enterprise_s_policy(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    await registry.heartbeat(engine())
    policy = EnterprisePolicy(deny=frozenset({"+53"}), blacklist=frozenset({"+447700900998"}))
    assert isinstance(await place(store, policy=policy), Placed)
    _, (command,) = await registry.read_commands("e1", "0", 0.001)
    assert isinstance(command, DialCommand)
    assert command.call.policy == policy
    assert "policy" not in await redis.hgetall(keys.call(command.call.id))
