"""A recording that was saved after its engine had died, and the record that hears of it."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from state.call import Call, CallState, DisconnectionReason, Findings, RecordingResult, Transition, utc_now
from state.calls import CallStore, TransitionResult
from state.engines import EngineRegistry
from state.keys import Keys
from tests.state.test_calls import create, engine, new_call

pytestmark = pytest.mark.anyio

PATH = "2026-03-04/c1.wav"


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> CallStore:
    """With the connected call c1, which is recorded."""
    store = CallStore(redis, keys, retention=100, engine_lost_after=5)
    await EngineRegistry(redis, keys, lost_after=5).heartbeat(engine("e1"))
    await create(store, new_call(recording_enabled=True))
    for state in (CallState.CALLING_CALLER, CallState.CALLING_CALLEE, CallState.CONNECTED):
        step = Transition.to(state, call_id="c1", epoch=1, at=utc_now())
        assert await store.transition(step) is TransitionResult.APPLIED
    return store


def ending(result: RecordingResult | None, path: str | None = None) -> Transition:
    return Transition.to(
        CallState.DISCONNECTED,
        call_id="c1",
        epoch=1,
        at=utc_now(),
        reason=DisconnectionReason.OTHER,
        duration=7,
        recording_result=result,
        findings=Findings(recording_path=path),
    )


async def record(store: CallStore) -> Call:
    call = await store.get("c1")
    assert call is not None
    return call


async def test_an_ended_call_gets_its_recording(store: CallStore, redis: Redis, keys: Keys) -> None:
    await store.transition(ending(RecordingResult.FAIL))
    assert await store.attach_recording("c1", PATH)
    call = await record(store)
    assert (call.recording_result, call.recording_path) == (RecordingResult.SUCCESS, PATH)
    assert (call.state, call.duration) == (CallState.DISCONNECTED, 7)
    assert 0 < await redis.ttl(keys.call("c1")) <= 100


async def test_a_call_that_ends_later_ends_with_its_recording(store: CallStore) -> None:
    """The reaper had read the record before, and says `fail`."""
    assert await store.attach_recording("c1", PATH)
    call = await record(store)
    assert (call.state, call.recording_result) == (CallState.CONNECTED, None)
    end = ending(RecordingResult.FAIL)
    assert await store.transition(end, take_over=True) is TransitionResult.APPLIED
    call = await record(store)
    assert (call.recording_result, call.recording_path) == (RecordingResult.SUCCESS, PATH)
    assert (await store.events("c1"))[-1] == end.event


async def test_a_call_without_recording_result_gets_none_by_ending(store: CallStore) -> None:
    await store.attach_recording("c1", PATH)
    await store.transition(ending(None))
    assert (await record(store)).recording_result is None


async def test_attaching_twice_changes_nothing(store: CallStore) -> None:
    await store.transition(ending(RecordingResult.SUCCESS, PATH))
    before = await record(store)
    assert await store.attach_recording("c1", PATH)
    assert await record(store) == before


async def test_there_is_no_record_any_more(store: CallStore, redis: Redis, keys: Keys) -> None:
    assert not await store.attach_recording("c2", PATH)
    assert not await redis.exists(keys.call("c2"))
