"""Call detail records: one for each call that ended, whoever ended it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from state import streams
from state.attempts import LegAttempt
from state.call import CallState, DisconnectionReason, Findings, PressedDigit, Transition, utc_now
from state.calls import CallStore, TransitionResult
from state.cdr import CallDetailRecord, CallDetailRecords
from state.engines import EngineRegistry
from state.keys import Keys
from tests.state.test_calls import GOOD, create, engine, new_call, step

pytestmark = pytest.mark.anyio

BUSY = LegAttempt(
    leg="callee",
    trunk="default",
    dialled="+447700900002",
    invited_at=utc_now(),
    ended_at=utc_now(),
    sip_status=486,
    q850=17,
    ended_by="party",
)
EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> CallStore:
    await EngineRegistry(redis, keys, lost_after=5).heartbeat(engine("e1"))
    return CallStore(redis, keys, retention=100, engine_lost_after=5)


@pytest.fixture
def records(redis: Redis, keys: Keys) -> CallDetailRecords:
    return CallDetailRecords(redis, keys)


async def all_of(records: CallDetailRecords) -> list[CallDetailRecord]:
    return [record async for record in records.between(*EVER)]


async def connect(store: CallStore, call_id: str) -> None:
    for state in (CallState.CALLING_CALLER, CallState.CALLING_CALLEE, CallState.CONNECTED):
        assert await store.transition(step(call_id, state)) is TransitionResult.APPLIED


async def test_a_call_that_ends_leaves_one_record_with_all_that_is_known(
    store: CallStore, records: CallDetailRecords, redis: Redis, keys: Keys
) -> None:
    await create(store, new_call(correlator="corr-1", recording_enabled=True))
    await connect(store, "c1")
    assert await all_of(records) == []
    pressed = PressedDigit(leg="caller", digit="5", duration_ms=80, at=utc_now())
    ending = Transition.to(
        CallState.DISCONNECTED,
        call_id="c1",
        epoch=1,
        at=utc_now(),
        reason=DisconnectionReason.HANG_UP,
        duration=7,
        findings=Findings(
            recording_path="2026/c1.wav", caller_quality=GOOD, digits=(pressed,), attempts=(BUSY,)
        ),
    )
    for _ in range(2):  # the engine repeats what it got no answer to
        assert await store.transition(ending) is TransitionResult.APPLIED

    (record,) = await all_of(records)
    call = await store.get("c1")
    assert call is not None
    assert record.call_id == "c1"
    shared = set(CallDetailRecord.model_fields) - {"call_id"}
    assert record.model_dump(include=shared) == call.model_dump(include=shared)
    assert record.digits == (pressed,)
    assert record.caller_quality == GOOD
    assert record.attempts == (BUSY,)
    assert record.billed_seconds == record.duration
    assert "token-of-the-sink" not in str(await redis.xrange(keys.cdrs))


async def test_whoever_ends_a_call_keeps_the_attempts_that_were_known(
    store: CallStore, records: CallDetailRecords
) -> None:
    await create(store, new_call())
    await store.keep_findings("c1", Findings(attempts=(BUSY,)))
    reaped = step("c1", CallState.FAILED)
    assert await store.transition(reaped, take_over=True) is TransitionResult.APPLIED
    assert [record.attempts for record in await all_of(records)] == [(BUSY,)]


async def test_whoever_is_fenced_writes_none(store: CallStore, records: CallDetailRecords) -> None:
    await create(store, new_call())
    await connect(store, "c1")
    reaped = step("c1", CallState.DISCONNECTED, reason=DisconnectionReason.OTHER)
    assert await store.transition(reaped, take_over=True) is TransitionResult.APPLIED
    late = step("c1", CallState.DISCONNECTED, reason=DisconnectionReason.HANG_UP)
    assert await store.transition(late) is TransitionResult.FENCED
    assert [record.reason for record in await all_of(records)] == [DisconnectionReason.OTHER]


async def test_a_failed_call_has_one_too(store: CallStore, records: CallDetailRecords) -> None:
    await create(store, new_call())
    await store.transition(step("c1", CallState.FAILED))
    (record,) = await all_of(records)
    assert (record.state, record.reason, record.duration) == (CallState.FAILED, None, None)
    assert record.connected_at is None


async def test_a_period_begins_with_its_start_and_stops_before_its_end(
    store: CallStore, records: CallDetailRecords, redis: Redis, keys: Keys
) -> None:
    await create(store, new_call())
    await store.transition(step("c1", CallState.FAILED))
    entries: Any = await redis.xrange(keys.cdrs)
    ((entry_id, _),) = entries
    written = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    tick = timedelta(milliseconds=1)
    for start, end, count in (
        (written, written + tick, 1),
        (written - tick, written, 0),
        (written + tick, EVER[1], 0),
        (EVER[0], written + tick, 1),
    ):
        assert len([record async for record in records.between(start, end)]) == count


async def test_many_are_read_page_by_page_in_order(
    store: CallStore, records: CallDetailRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAGE", 3)
    for count in range(6):
        await create(store, new_call(f"c{count}", callee=f"+44770090010{count}"))
        await store.transition(step(f"c{count}", CallState.FAILED))
    assert [record.call_id for record in await all_of(records)] == [f"c{count}" for count in range(6)]


async def test_records_go_with_the_calls_they_are_of(redis: Redis, keys: Keys) -> None:
    """Redis trims whole nodes of a stream, so that some stay a little longer."""
    await EngineRegistry(redis, keys, lost_after=5).heartbeat(engine("e1"))
    for milliseconds in range(1, 301):
        await redis.xadd(keys.cdrs, {"record": "{}"}, id=f"{milliseconds}-0")
    store = CallStore(redis, keys, retention=100, engine_lost_after=5)
    await create(store, new_call())
    await store.transition(step("c1", CallState.FAILED))
    assert await redis.xlen(keys.cdrs) < 150
