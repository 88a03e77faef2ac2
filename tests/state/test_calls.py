"""Calls in Redis: what is written together, what is refused, what a retry does."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from config import AnnouncementSettings
from state.call import (
    Call,
    CallState,
    DisconnectionReason,
    Findings,
    PressedDigit,
    RecordingResult,
    Transition,
    utc_now,
)
from state.calls import (
    CallStore,
    CreationResult,
    Duplicate,
    NoRecorder,
    NoRoom,
    Placed,
    ReleaseResult,
    TransitionResult,
)
from state.engines import DialCommand, EngineRegistry, EngineState, EngineStatus, ReleaseCommand
from state.keys import Keys
from state.outbox import Outbox
from state.quality import LegQuality

pytestmark = pytest.mark.anyio

ROOM = {"prompt": 10, "slow": 10, "per_sink": 10}


@pytest.fixture
def store(redis: Redis, keys: Keys) -> CallStore:
    return CallStore(redis, keys, retention=100, engine_lost_after=5)


@pytest.fixture
def registry(redis: Redis, keys: Keys) -> EngineRegistry:
    return EngineRegistry(redis, keys, lost_after=5)


def engine(
    engine_id: str, capacity: int = 10, state: EngineState = EngineState.UP, *, can_record: bool = True
) -> EngineStatus:
    return EngineStatus(
        engine_id, engine_id, 1, state, capacity, "127.0.0.1:5060", 0, 0, 0, 0, 0, can_record=can_record
    )


def new_call(call_id: str = "c1", callee: str = "+447700900002", **fields: object) -> Call:
    return Call.model_validate(
        {
            "id": call_id,
            "client_id": "client",
            "enterprise_id": "acme",
            "caller": "+447700900001",
            "callee": callee,
            "presented_number": "+441632960000",
            "created_at": utc_now(),
            "sink": "http://127.0.0.1/sink",
            "sink_token": "token-of-the-sink",
            **fields,
        }
    )


def step(
    call_id: str, state: CallState, epoch: int = 1, reason: DisconnectionReason | None = None
) -> Transition:
    duration = 7 if state is CallState.DISCONNECTED else None
    return Transition.to(state, call_id=call_id, epoch=epoch, at=utc_now(), reason=reason, duration=duration)


GOOD = LegQuality(
    codec="PCMU",
    clock_rate=8000,
    packets_sent=350,
    packets_received=348,
    packets_lost=2,
    packets_discarded=0,
    jitter_ms=1.5,
    mos=4.3,
)


async def create(store: CallStore, call: Call) -> CreationResult:
    return await store.create(call, step(call.id, CallState.INITIATING, epoch=0).event)


async def test_a_call_is_written_with_its_event_its_command_and_its_slot(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    await registry.heartbeat(engine("e1"))
    assert await create(store, new_call()) == Placed("e1")

    call = await store.get("c1")
    assert call is not None
    assert (call.state, call.engine_id, call.epoch) == (CallState.INITIATING, "e1", 1)
    assert [event.state for event in await store.events("c1")] == [CallState.INITIATING]
    _, commands = await registry.read_commands("e1", "0", 0.001)
    assert commands == [DialCommand(call.model_copy(update={"sink": None, "sink_token": None}))]
    assert call.sink_token == "token-of-the-sink"
    assert "token-of-the-sink" not in str(await redis.xrange(keys.commands("e1")))
    assert await registry.calls_of("e1") == {"c1"}
    (delivery,) = (await Outbox(redis, keys, retention=60).claim(lease=30, **ROOM)).deliveries
    assert delivery.event == (await store.events("c1"))[0]


async def test_without_an_engine_with_room_nothing_is_written(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    await registry.heartbeat(engine("draining", state=EngineState.DRAINING))
    await registry.heartbeat(engine("full", capacity=1))
    assert await create(store, new_call("c0", callee="+447700900009")) == Placed("full")
    before = set(await redis.keys(f"{keys.root}*"))
    assert isinstance(await create(store, new_call()), NoRoom)
    assert set(await redis.keys(f"{keys.root}*")) == before


async def test_the_engine_with_the_most_room_is_chosen(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine("small", capacity=3))
    await registry.heartbeat(engine("large", capacity=5))
    placed = [await create(store, new_call(f"c{n}", callee=f"+44770090{n:04}")) for n in range(4)]
    assert [p.engine_id for p in placed if isinstance(p, Placed)].count("large") == 3


async def test_capacity_is_never_exceeded_by_concurrent_calls(
    store: CallStore, registry: EngineRegistry
) -> None:
    await registry.heartbeat(engine("e1", capacity=7))
    answers = await asyncio.gather(
        *(create(store, new_call(f"c{n}", callee=f"+44770090{n:04}")) for n in range(20))
    )
    assert sum(isinstance(answer, Placed) for answer in answers) == 7
    assert len(await registry.calls_of("e1")) == 7


async def test_a_live_call_between_the_same_numbers_is_a_duplicate_until_it_ends(
    store: CallStore, registry: EngineRegistry
) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    assert await create(store, new_call("c2")) == Duplicate("c1")
    assert await create(store, new_call("c3", enterprise_id="other")) == Placed("e1")
    await store.transition(step("c1", CallState.FAILED))
    assert await create(store, new_call("c4")) == Placed("e1")


async def test_transitions_are_applied_in_order_and_written_to_record_stream_and_outbox(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    for state in (CallState.CALLING_CALLER, CallState.CALLING_CALLEE, CallState.CONNECTED):
        assert await store.transition(step("c1", state)) is TransitionResult.APPLIED
    pressed = PressedDigit(leg="caller", digit="5", duration_ms=120, at=utc_now())
    end = Transition.to(
        CallState.DISCONNECTED,
        call_id="c1",
        epoch=1,
        at=utc_now(),
        reason=DisconnectionReason.HANG_UP,
        duration=7,
        recording_result=RecordingResult.SUCCESS,
        findings=Findings(recording_path="2026-01-01/c1.wav", caller_quality=GOOD, digits=(pressed,)),
    )
    assert await store.transition(end) is TransitionResult.APPLIED

    call = await store.get("c1")
    assert call is not None
    assert (call.state, call.reason, call.duration) == (
        CallState.DISCONNECTED,
        DisconnectionReason.HANG_UP,
        7,
    )
    assert (call.recording_result, call.recording_path) == (RecordingResult.SUCCESS, "2026-01-01/c1.wav")
    assert (call.caller_quality, call.callee_quality, call.digits) == (GOOD, None, (pressed,))
    assert call.ended_at == end.event.at
    events = await store.events("c1")
    assert [event.state for event in events] == [s for s in CallState if s is not CallState.FAILED]
    assert events[-1] == end.event
    assert await registry.calls_of("e1") == set()
    outbox, delivered = Outbox(redis, keys, retention=60), []
    while claimed := (await outbox.claim(lease=30, **ROOM)).deliveries:
        delivered.append(claimed[0].event)
        await outbox.settle(claimed[0])
    assert delivered == events


async def test_a_retried_transition_is_applied_once(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    transition = step("c1", CallState.CALLING_CALLER)
    assert await store.transition(transition) is TransitionResult.APPLIED
    assert await store.transition(transition) is TransitionResult.APPLIED
    assert len(await store.events("c1")) == 2


@pytest.mark.parametrize(
    "state", [s for s in CallState if s not in (CallState.INITIATING, CallState.CALLING_CALLER)]
)
async def test_a_state_that_cannot_follow_is_refused(
    store: CallStore, registry: EngineRegistry, state: CallState
) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    expected = TransitionResult.APPLIED if state.is_terminal else TransitionResult.FENCED
    assert await store.transition(step("c1", state)) is expected


async def test_a_call_ends_exactly_once(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    ends = [step("c1", CallState.DISCONNECTED, reason=DisconnectionReason.HANG_UP) for _ in range(10)]
    results = await asyncio.gather(*(store.transition(end) for end in ends))
    assert results.count(TransitionResult.APPLIED) == 1
    assert results.count(TransitionResult.FENCED) == 9
    assert sum(event.state.is_terminal for event in await store.events("c1")) == 1


async def test_an_owner_of_an_older_epoch_is_fenced(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    taken_over = await store.transition(step("c1", CallState.CALLING_CALLER), take_over=True)
    assert taken_over is TransitionResult.APPLIED
    assert await store.transition(step("c1", CallState.CALLING_CALLEE)) is TransitionResult.FENCED
    assert await store.transition(step("c1", CallState.CALLING_CALLEE, epoch=2)) is TransitionResult.APPLIED


async def test_a_transition_of_an_unknown_call(store: CallStore) -> None:
    assert await store.transition(step("nobody", CallState.CALLING_CALLER)) is TransitionResult.UNKNOWN


async def test_release_reaches_the_owner_of_a_live_call_only(
    store: CallStore, registry: EngineRegistry
) -> None:
    assert await store.request_release("c1") is ReleaseResult.UNKNOWN
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    assert await store.request_release("c1") is ReleaseResult.REQUESTED
    _, (_, release) = await registry.read_commands("e1", "0", 0.001)
    assert release == ReleaseCommand("c1")
    await store.transition(step("c1", CallState.FAILED))
    assert await store.request_release("c1") is ReleaseResult.ENDED


async def test_waiting_for_the_end_returns_the_ended_record(
    store: CallStore, registry: EngineRegistry
) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    assert await store.wait_ended("c1", 0.01) is None
    waiting = asyncio.create_task(store.wait_ended("c1", 5))
    await store.transition(step("c1", CallState.DISCONNECTED, reason=DisconnectionReason.HANG_UP))
    ended = await waiting
    assert ended is not None
    assert ended.state is CallState.DISCONNECTED


async def test_an_ended_call_is_kept_for_its_retention(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    assert await redis.ttl(keys.call("c1")) == -1
    await store.transition(step("c1", CallState.FAILED))
    assert 0 < await redis.ttl(keys.call("c1")) <= 100
    assert 0 < await redis.ttl(keys.events("c1")) <= 100


async def test_a_command_is_read_once(store: CallStore, registry: EngineRegistry) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    last, commands = await registry.read_commands("e1", "0", 0.001)
    assert len(commands) == 1
    await store.request_release("c1")
    last, commands = await registry.read_commands("e1", last, 0.001)
    assert commands == [ReleaseCommand("c1")]
    assert await registry.read_commands("e1", last, 0.001) == (last, [])


async def test_a_silent_engine_is_lost_and_gets_nothing(redis: Redis, keys: Keys, store: CallStore) -> None:
    registry = EngineRegistry(redis, keys, lost_after=0)
    await registry.heartbeat(engine("e1"))
    seconds, micros = await redis.time()
    await redis.zadd(keys.engines, {"e1": seconds * 1000 + micros // 1000 - 6000})
    assert await registry.lost() == ["e1"]
    assert await registry.statuses() == []
    assert isinstance(await create(store, new_call()), NoRoom)
    await registry.retire("e1")
    assert await registry.lost() == []


async def test_a_call_to_be_recorded_goes_where_there_is_room_for_its_recording(
    store: CallStore, registry: EngineRegistry
) -> None:
    await registry.heartbeat(engine("full disk", 10, can_record=False))
    recorded = new_call("c1", recording_enabled=True)
    assert isinstance(await create(store, recorded), NoRecorder)
    assert await store.get("c1") is None
    await registry.heartbeat(engine("free disk", 5))
    assert await create(store, recorded) == Placed("free disk")
    assert await create(store, new_call("c2", "+447700900003")) == Placed("full disk")


async def test_what_an_enterprise_wants_of_its_calls_reaches_the_engine(
    store: CallStore, registry: EngineRegistry
) -> None:
    await registry.heartbeat(engine("e1"))
    wanted = AnnouncementSettings(whisper="connecting", connect_recorded=False)
    await create(store, new_call(announcements=wanted, recording_channels="dual"))
    call = await store.get("c1")
    assert call is not None
    assert (call.announcements, call.recording_channels) == (wanted, "dual")
    _, (command,) = await registry.read_commands("e1", "0", block=0.01)
    assert isinstance(command, DialCommand)
    assert command.call.announcements == wanted


async def test_findings_are_kept_while_the_call_lives_and_final_afterwards(
    store: CallStore, registry: EngineRegistry, redis: Redis, keys: Keys
) -> None:
    await registry.heartbeat(engine("e1"))
    await create(store, new_call())
    worse = GOOD.model_copy(update={"mos": 2.0})
    pressed = PressedDigit(leg="callee", digit="#", duration_ms=100, at=utc_now())
    await store.keep_findings("c1", Findings())
    await store.keep_findings("c1", Findings(callee_quality=GOOD, digits=(pressed,)))
    await store.keep_findings("c1", Findings(caller_quality=worse))
    await store.keep_findings("x", Findings(caller_quality=GOOD))
    call = await store.get("c1")
    assert call is not None
    assert (call.caller_quality, call.callee_quality, call.digits) == (worse, GOOD, (pressed,))
    assert not await redis.exists(keys.call("x"))
    end = Transition.to(
        CallState.FAILED, call_id="c1", epoch=1, at=utc_now(), findings=Findings(caller_quality=GOOD)
    )
    assert await store.transition(end) is TransitionResult.APPLIED
    await store.keep_findings("c1", Findings(caller_quality=worse, digits=(pressed, pressed)))
    call = await store.get("c1")
    assert call is not None
    assert (call.caller_quality, call.digits) == (GOOD, (pressed,))
