"""The pool of minutes: what is reserved, billed, renewed and topped up, and what the ledger tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from config import PoolSettings
from state.call import Call, CallState, DisconnectionReason, Transition, utc_now
from state.calls import CallStore, Placed, QuotaExceeded, TransitionResult
from state.cdr import CallDetailRecords
from state.engines import DialCommand, EngineRegistry
from state.keys import Keys
from state.outbox import Outbox
from state.pool import EntryKind, LedgerEntry, MinutePools, PoolAlarms, PoolStatus, TopUpResult
from state.pool_check import PoolCheck
from tests.state.test_calls import engine, new_call, step

pytestmark = pytest.mark.anyio

POOL = PoolSettings(minimum=60, slice=300)
NOVEMBER, DECEMBER, FEBRUARY = (
    datetime(*day, tzinfo=UTC) for day in ((2099, 11, 30), (2099, 12, 1), (2100, 2, 1))
)


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> CallStore:
    await EngineRegistry(redis, keys, lost_after=60).heartbeat(engine("e1", capacity=1000))
    return CallStore(redis, keys, retention=100, engine_lost_after=60)


@pytest.fixture
def pools(redis: Redis, keys: Keys) -> MinutePools:
    return MinutePools(redis, keys)


@pytest.fixture
def check(redis: Redis, keys: Keys) -> PoolCheck:
    return PoolCheck(redis, keys, retention=100)


async def create(store: CallStore, number: int, pool: PoolSettings | None = POOL) -> Any:
    call = new_call(f"c{number}", callee=f"+4477009{number:05}")
    return await store.create(call, step(call.id, CallState.INITIATING, epoch=0).event, pool=pool)


async def connect(store: CallStore, number: int) -> None:
    for state in (CallState.CALLING_CALLER, CallState.CALLING_CALLEE, CallState.CONNECTED):
        assert await store.transition(step(f"c{number}", state)) is TransitionResult.APPLIED


def ending(number: int, duration: int) -> Transition:
    return Transition.to(
        CallState.DISCONNECTED,
        call_id=f"c{number}",
        epoch=1,
        at=utc_now(),
        reason=DisconnectionReason.HANG_UP,
        duration=duration,
    )


async def record(store: CallStore, number: int) -> Call:
    call = await store.get(f"c{number}")
    assert call is not None
    return call


async def fill(pools: MinutePools, minutes: int, pool: PoolSettings = POOL) -> None:
    reference = f"fill {minutes}"
    assert await pools.top_up("acme", pool, seconds=60 * minutes, reference=reference) is TopUpResult.ADDED


async def entries(pools: MinutePools) -> list[LedgerEntry]:
    return [entry async for entry in pools.ledger("acme")]


async def changes(pools: MinutePools) -> list[tuple[str, str, int]]:
    return [(entry.kind.value, entry.reference, entry.seconds) for entry in await entries(pools)]


async def sums(pools: MinutePools, pool: PoolSettings = POOL) -> tuple[int, int]:
    """(balance, reserved)"""
    status = await pools.show("acme", pool)
    return status.balance, status.reserved


async def test_a_call_reserves_a_slice_and_its_engine_knows(
    store: CallStore, pools: MinutePools, redis: Redis, keys: Keys
) -> None:
    await fill(pools, 10)
    assert await create(store, 1, PoolSettings(increment=6, slice=300)) == Placed("e1")
    assert await sums(pools) == (600, 300)
    call = await record(store, 1)
    assert (call.granted_seconds, call.billing_increment, call.quota_slice) == (300, 6, 300)
    _, (dial,) = await EngineRegistry(redis, keys, lost_after=5).read_commands("e1", "0", 0.001)
    assert isinstance(dial, DialCommand)
    assert dial.call.granted_seconds == 300


async def test_a_call_without_a_pool_is_billed_but_takes_from_none(
    store: CallStore, pools: MinutePools, redis: Redis, keys: Keys
) -> None:
    await fill(pools, 10)
    assert await create(store, 1, None) == Placed("e1")
    await connect(store, 1)
    await store.transition(ending(1, 77))
    call = await record(store, 1)
    assert (call.granted_seconds, call.billed_seconds) == (None, 77)
    assert await sums(pools) == (600, 0)
    (cdr,) = [
        one async for one in CallDetailRecords(redis, keys).between(NOVEMBER.replace(year=2000), FEBRUARY)
    ]
    assert (cdr.billed_seconds, cdr.granted_seconds) == (77, None)


@pytest.mark.parametrize(("seconds", "allowed"), [(0, False), (59, False), (60, True), (61, True)])
async def test_no_call_starts_without_the_minimum(
    store: CallStore, redis: Redis, keys: Keys, seconds: int, allowed: bool
) -> None:
    await redis.hset(keys.pool("acme"), "balance", str(seconds))
    before = set(await redis.keys(f"{keys.root}*"))
    answer = await create(store, 1)
    assert answer == (Placed("e1") if allowed else QuotaExceeded(in_use=False))
    if not allowed:
        assert set(await redis.keys(f"{keys.root}*")) == before


async def test_a_refusal_tells_whether_live_calls_have_what_is_missing(
    store: CallStore, pools: MinutePools
) -> None:
    await fill(pools, 5)
    assert await create(store, 1) == Placed("e1")
    assert await create(store, 2) == QuotaExceeded(in_use=True)
    await connect(store, 1)
    await store.transition(ending(1, 250))
    assert await create(store, 2) == QuotaExceeded(in_use=False)


async def test_calls_at_once_never_reserve_more_than_there_is(store: CallStore, pools: MinutePools) -> None:
    await fill(pools, 11)
    answers = await asyncio.gather(*(create(store, number) for number in range(20)))
    assert sum(isinstance(answer, Placed) for answer in answers) == 3  # 300 + 300 + 60 seconds
    assert await sums(pools) == (660, 660)
    assert sorted(
        [(await record(store, n)).granted_seconds or 0 for n, a in enumerate(answers) if a == Placed("e1")]
    ) == [
        60,
        300,
        300,
    ]


async def test_a_live_call_gets_further_slices_until_nothing_is_free(
    store: CallStore, pools: MinutePools
) -> None:
    await fill(pools, 11)
    await create(store, 1)
    await connect(store, 1)
    assert await pools.extend("c1", 1, 300) == 600
    assert await pools.extend("c1", 1, 300) == 600, "the same question again"
    assert await pools.extend("c1", 1, 600) == 660
    assert await pools.extend("c1", 1, 660) == 660
    assert (await record(store, 1)).granted_seconds == 660
    await fill(pools, 1)
    assert await pools.extend("c1", 1, 660) == 720
    assert await sums(pools) == (720, 720)


async def test_who_has_lost_a_call_gets_nothing_for_it(store: CallStore, pools: MinutePools) -> None:
    await fill(pools, 60)
    assert await pools.extend("c1", 1, 300) is None
    await create(store, 1)
    await connect(store, 1)
    assert await pools.extend("c1", 2, 300) is None
    await store.transition(ending(1, 10), take_over=True)
    assert await pools.extend("c1", 1, 300) is None
    assert await pools.extend("c1", 2, 300) is None
    assert await sums(pools) == (3590, 0)


@pytest.mark.parametrize(
    ("increment", "duration", "billed"),
    [
        *((1, seconds, seconds) for seconds in (0, 1, 59, 60, 61)),
        *((6, seconds, billed) for seconds, billed in ((0, 0), (1, 6), (6, 6), (7, 12), (61, 66))),
        *((60, seconds, billed) for seconds, billed in ((0, 0), (1, 60), (60, 60), (61, 120), (119, 120))),
        (60, 299, 300),
        (60, 305, 300),  # more than was granted
    ],
)
async def test_what_is_billed(
    store: CallStore,
    pools: MinutePools,
    check: PoolCheck,
    increment: Any,
    duration: int,
    billed: int,
) -> None:
    await fill(pools, 60)
    await create(store, 1, PoolSettings(increment=increment, slice=300))
    # What is provisioned later changes nothing for it.
    await create(store, 2, PoolSettings(increment=1, minimum=1, slice=1))
    await connect(store, 1)
    end = ending(1, duration)
    for _ in range(2):  # the engine repeats what it got no answer to
        assert await store.transition(end) is TransitionResult.APPLIED
    assert (await record(store, 1)).billed_seconds == billed
    assert await sums(pools) == (3600 - billed, 1)
    expected = [("call", "c1", -billed)] if billed else []
    assert (await changes(pools))[1:] == expected
    assert await check.run(["acme"]) == []


async def test_a_call_that_failed_gives_everything_back(
    store: CallStore, pools: MinutePools, check: PoolCheck
) -> None:
    await fill(pools, 10)
    await create(store, 1)
    await store.transition(step("c1", CallState.FAILED))
    assert (await record(store, 1)).billed_seconds == 0
    assert await sums(pools) == (600, 0)
    assert len(await entries(pools)) == 1
    assert await check.run(["acme"]) == []


async def test_a_top_up_is_added_once_for_each_reference(pools: MinutePools) -> None:
    async def add(minutes: int, reference: str) -> TopUpResult:
        return await pools.top_up("acme", POOL, seconds=60 * minutes, reference=reference)

    assert await add(10, "invoice 1") is TopUpResult.ADDED
    assert await add(10, "invoice 1") is TopUpResult.REPEATED
    assert await add(11, "invoice 1") is TopUpResult.REFERENCE_USED
    assert await add(1, "invoice 2") is TopUpResult.ADDED
    assert await changes(pools) == [("top_up", "invoice 1", 600), ("top_up", "invoice 2", 60)]
    assert [entry.balance for entry in await entries(pools)] == [600, 660]


async def test_a_months_minutes_come_once_and_what_is_left_of_them_expires(pools: MinutePools) -> None:
    pool = PoolSettings(monthly_minutes=100)
    for _ in range(2):
        assert (await pools.show("acme", pool, NOVEMBER)).balance == 6000
    assert (await pools.show("acme", pool, DECEMBER)) == PoolStatus(6000, 0, "2099-12", is_low=False)
    assert (await pools.show("acme", pool, FEBRUARY)).balance == 6000
    assert (await pools.show("acme", pool, DECEMBER)).month == "2100-02", "never backwards"
    assert await changes(pools) == [
        ("renewal", "2099-11", 6000),
        ("expiry", "2099-11", -6000),
        ("renewal", "2099-12", 6000),
        ("expiry", "2099-12", -6000),
        ("renewal", "2100-02", 6000),
    ]


async def test_what_expires_raises_no_alarm_as_the_new_minutes_come_with_it(
    pools: MinutePools, redis: Redis, keys: Keys
) -> None:
    pool = PoolSettings(monthly_minutes=100, low_water_minutes=20)
    await pools.show("acme", pool, NOVEMBER)
    assert not (await pools.show("acme", pool, DECEMBER)).is_low
    assert await alarms(redis, keys) == []


async def test_with_carry_over_every_month_adds_its_minutes(pools: MinutePools) -> None:
    pool = PoolSettings(monthly_minutes=1, carry_over=True)
    await pools.show("acme", pool, NOVEMBER)
    assert (await pools.show("acme", pool, FEBRUARY)).balance == 240
    assert await changes(pools) == [
        ("renewal", month, 60) for month in ("2099-11", "2099-12", "2100-01", "2100-02")
    ]


async def test_minutes_topped_up_do_not_expire_and_those_of_the_month_are_used_first(
    store: CallStore, pools: MinutePools, check: PoolCheck
) -> None:
    pool = PoolSettings(monthly_minutes=10)
    await create(store, 1, pool)
    await fill(pools, 20, pool)
    await connect(store, 1)
    await store.transition(ending(1, 240))
    await pools.show("acme", pool, NOVEMBER)
    this_month = f"{utc_now():%Y-%m}"
    assert await changes(pools) == [
        ("renewal", this_month, 600),
        ("top_up", "fill 20", 1200),
        ("call", "c1", -240),
        ("expiry", this_month, -360),
        ("renewal", "2099-11", 600),
    ]
    assert await sums(pools, pool) == (1800, 0)
    assert await check.run(["acme"]) == []


async def test_what_live_calls_have_reserved_does_not_expire(
    store: CallStore, pools: MinutePools, check: PoolCheck
) -> None:
    pool = PoolSettings(monthly_minutes=10)
    await create(store, 1, pool)
    await connect(store, 1)
    assert await pools.show("acme", pool, NOVEMBER) == PoolStatus(900, 300, "2099-11", is_low=False)
    await store.transition(ending(1, 290))
    assert await sums(pools, pool) == (610, 0)
    assert await check.run(["acme"]) == []


async def test_a_call_that_outlasts_the_month_is_extended_from_the_next_one(
    store: CallStore, pools: MinutePools, redis: Redis, keys: Keys
) -> None:
    pool = PoolSettings(monthly_minutes=5)
    await create(store, 1, pool)
    await connect(store, 1)
    assert await pools.extend("c1", 1, 300) == 300
    await redis.hincrby(keys.pool("acme"), "month", -1)
    assert await pools.extend("c1", 1, 300) == 600


def script(body: str) -> str:
    return (files("state") / "scripts" / "pool.lua").read_text() + body


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)), st.sampled_from([0, 1, 3599, 86399]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_month_of_any_second(redis_url: str, day: datetime, second: int) -> None:
    moment = int(day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC).timestamp()) + second
    with BlockingRedis.from_url(redis_url, decode_responses=True) as client:
        named = client.eval(script("return month_name(month_of(tonumber(ARGV[1])))"), 0, moment)
    assert named == f"{day:%Y-%m}"


async def alarms(redis: Redis, keys: Keys) -> list[int]:
    found: Any = await redis.xrange(keys.pool_alarms)
    return [int(fields["balance"]) for _, fields in found]


async def test_the_alarm_is_raised_once_until_there_is_enough_again(
    store: CallStore, pools: MinutePools, redis: Redis, keys: Keys
) -> None:
    pool = PoolSettings(low_water_minutes=20)

    async def talk(number: int, seconds: int) -> None:
        await create(store, number, pool)
        await connect(store, number)
        await store.transition(ending(number, seconds))

    await fill(pools, 24, pool)
    await talk(1, 240)
    assert await alarms(redis, keys) == [], "not below it yet"
    await create(store, 9, pool)
    assert await alarms(redis, keys) == [], "reserved is not used"
    await talk(2, 1)
    await talk(3, 100)
    assert await alarms(redis, keys) == [1199]
    assert (await pools.show("acme", pool)).is_low
    await fill(pools, 1, pool)
    await talk(4, 1)
    assert await alarms(redis, keys) == [1199], "still below it"
    await fill(pools, 2, pool)
    assert not (await pools.show("acme", pool)).is_low
    await talk(5, 100)
    assert await alarms(redis, keys) == [1199, 1178]


async def test_an_alarm_is_there_until_one_of_all_readers_has_told_it(
    store: CallStore, pools: MinutePools, redis: Redis, keys: Keys
) -> None:
    pool = PoolSettings(low_water_minutes=20)
    one, other = (PoolAlarms(redis, keys, retention=60) for _ in range(2))
    outbox = Outbox(redis, keys, retention=60)
    await fill(pools, 20, pool)
    await create(store, 1, pool)
    await connect(store, 1)
    await store.transition(ending(1, 1))
    (alarm,) = await one.read(1)
    assert await other.read(1) == [alarm], "whoever has read it may have died"
    assert (alarm.enterprise_id, alarm.balance, alarm.low_water) == ("acme", 1199, 1200)
    assert await other.tell(alarm, "https://alerts.example/x")
    assert not await one.tell(alarm, "https://alerts.example/x")
    assert await one.read(0.01) == []
    claim = await outbox.claim(lease=30, prompt=9, slow=9, per_sink=9)
    (delivery,) = (one for one in claim.deliveries if one.event.owner == "pool:acme")
    assert delivery.event == alarm
    assert delivery.record == {"enterprise_id": "acme", "sink": "https://alerts.example/x"}
    await outbox.settle(delivery)
    assert not await redis.exists(keys.outbox("pool:acme"))


Spoil = Callable[[Redis, Keys], Any]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda redis, keys: redis.hincrby(keys.pool("acme"), "balance", 1), "the balance is 3571"),
        (
            lambda redis, keys: redis.hincrby(keys.pool("acme"), "reserved", 1),
            "301 are reserved, by calls 300",
        ),
        (
            lambda redis, keys: redis.hset(keys.pool_reserved("acme"), "c1", 0),
            "0 are reserved for a call that does not live",
        ),
        (
            lambda redis, keys: redis.xadd(
                keys.ledger("acme"), {"kind": "call", "reference": "c1", "seconds": -30, "balance": 3540}
            ),
            "30 were billed, the ledger has [30, 30]",
        ),
        (
            lambda redis, keys: redis.xadd(
                keys.ledger("acme"), {"kind": "call", "reference": "c8", "seconds": -5, "balance": 3565}
            ),
            "has no call detail record",
        ),
        (lambda redis, keys: redis.delete(keys.ledger("acme")), "30 were billed, the ledger has []"),
        (
            lambda redis, keys: redis.xadd(
                keys.ledger("acme"), {"kind": "top_up", "reference": "x", "seconds": 5, "balance": 3570}
            ),
            "tells a balance of 3570, the sum is 3575",
        ),
        (lambda redis, keys: redis.delete(keys.cdrs), "has no call detail record"),
        (lambda redis, keys: redis.hset(keys.pool("acme"), "balance", 299), "of which 300 are reserved"),
    ],
)
async def test_books_that_do_not_add_up_are_found(
    store: CallStore, pools: MinutePools, check: PoolCheck, redis: Redis, keys: Keys, spoil: Spoil, found: str
) -> None:
    await fill(pools, 60)
    for number in (1, 2):
        await create(store, number)
        await connect(store, number)
    await store.transition(ending(1, 30))
    assert await check.run(["acme"]) == []
    await spoil(redis, keys)
    told = [one.what for one in await check.run(["acme"])]
    assert any(found in what for what in told), told


async def test_entries_whose_records_have_expired_are_no_discrepancy(
    store: CallStore, pools: MinutePools, redis: Redis, keys: Keys
) -> None:
    await fill(pools, 60)
    await create(store, 1)
    await connect(store, 1)
    await store.transition(ending(1, 30))
    await redis.delete(keys.cdrs)
    assert await PoolCheck(redis, keys, retention=100).run(["acme"]) != []
    assert await PoolCheck(redis, keys, retention=0).run(["acme"]) == []
    assert EntryKind.CALL in {entry.kind for entry in await entries(pools)}
