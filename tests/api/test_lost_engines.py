"""What becomes of the calls of an engine that falls silent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from api.lost_engines import ending_of
from state.call import (
    Call,
    CallState,
    DisconnectionReason,
    RecordingResult,
    Transition,
    utc_now,
)
from state.calls import TransitionResult
from tests.api.configuration import write_config
from tests.api.played_engine import PlayedEngine
from tests.api.processes import NotifierProcess
from tests.api.sink_server import SinkServer
from tests.support.waiting import wait_until

LOST_AFTER = 1.0


@pytest.fixture
def frail(redis_url: str, prefix: str) -> Iterator[PlayedEngine]:
    engine = PlayedEngine(redis_url, prefix, lost_after=LOST_AFTER)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def reaper(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[NotifierProcess]:
    config = write_config(tmp_path, redis_url, prefix, changes={"engine": {"lost_after": LOST_AFTER}})
    process = NotifierProcess(config)
    process.start()
    yield process
    process.stop()


@pytest.mark.usefixtures("reaper")
def test_the_calls_of_a_lost_engine_end_and_their_sinks_hear_of_it(
    frail: PlayedEngine, sink: SinkServer
) -> None:
    dialling = frail.create(sink=f"{sink.root}/dialling", recording_enabled=True)
    talking = frail.create(sink=f"{sink.root}/talking", recording_enabled=True)
    unrecorded = frail.create()
    frail.advance(dialling.id, CallState.CALLING_CALLER)
    for call in (talking, unrecorded):
        frail.connect(call.id)
    frail.die()

    failed = sink.wait_for("/dialling", 3)[-1].event["data"]
    assert (failed["status"], failed["recordingResult"]) == ({"state": "failed"}, "noRecord")
    lost = sink.wait_for("/talking", 5)[-1].event["data"]
    assert lost["status"] == {"state": "disconnected", "reason": "other"}
    assert lost["recordingResult"] == "fail"
    record = frail.record(talking.id)
    assert record.connected_at is not None
    assert record.ended_at is not None
    assert lost["callDuration"] == str(int((record.ended_at - record.connected_at).total_seconds()))
    wait_until(lambda: frail.record(unrecorded.id).state is CallState.DISCONNECTED)
    assert frail.record(unrecorded.id).recording_result is None
    wait_until(lambda: frail.run(frail.registry.lost()) == [])

    # It comes back, and no longer decides about its calls.
    late = Transition.to(CallState.CONNECTED, call_id=dialling.id, epoch=1, at=utc_now())
    assert frail.run(frail.calls.transition(late)) is TransitionResult.FENCED
    # The pair is free again, once an engine is there.
    assert frail.states(dialling.id)[-1] is CallState.FAILED


def test_a_living_engine_is_left_alone(
    frail: PlayedEngine, reaper: NotifierProcess, redis_url: str, prefix: str
) -> None:
    call = frail.create()
    dead = PlayedEngine(redis_url, prefix, lost_after=LOST_AFTER)
    dead.start()
    dead.stop(retire=False)
    wait_until(lambda: "lost_engine_retired" in reaper.log())
    assert dead.engine_id in reaper.log()
    assert frail.engine_id not in reaper.log()
    assert frail.record(call.id).state is CallState.INITIATING


def call_in(state: CallState, *, recorded: bool = False, path: str | None = None) -> Call:
    now = utc_now()
    return Call(
        id="c",
        client_id="shop",
        enterprise_id="acme",
        caller="+12345",
        callee="+12346",
        presented_number="+12347",
        state=state,
        created_at=now,
        recording_enabled=recorded,
        recording_path=path,
        epoch=4,
        connected_at=now if state is CallState.CONNECTED else None,
    )


@pytest.mark.parametrize("state", [CallState.INITIATING, CallState.CALLING_CALLER, CallState.CALLING_CALLEE])
@pytest.mark.parametrize(("recorded", "result"), [(False, None), (True, RecordingResult.NO_RECORD)])
def test_before_connected_it_is_failed(
    state: CallState, recorded: bool, result: RecordingResult | None
) -> None:
    ending = ending_of(call_in(state, recorded=recorded), utc_now())
    assert (ending.event.state, ending.event.reason, ending.event.duration) == (CallState.FAILED, None, None)
    assert (ending.event.recording_result, ending.epoch) == (result, 4)


@pytest.mark.parametrize("state", [CallState.CALLING_CALLEE, CallState.CONNECTED])
def test_a_recording_that_was_already_saved_is_a_success(state: CallState) -> None:
    ending = ending_of(call_in(state, recorded=True, path="2026-03-04/c.wav"), utc_now())
    assert ending.event.recording_result is RecordingResult.SUCCESS


@pytest.mark.parametrize(("elapsed", "duration"), [(-1.0, 0), (0.0, 0), (0.999, 0), (61.5, 61)])
def test_once_connected_it_is_disconnected_with_whole_seconds(elapsed: float, duration: int) -> None:
    call = call_in(CallState.CONNECTED, recorded=True)
    assert call.connected_at is not None
    ending = ending_of(call, call.connected_at + timedelta(seconds=elapsed))
    assert ending.event.state is CallState.DISCONNECTED
    assert ending.event.reason is DisconnectionReason.OTHER
    assert ending.event.duration == duration
    assert ending.event.recording_result is RecordingResult.FAIL
