"""The link to Redis tends the recordings: of dead engines, of ended calls, and those that are too old."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from redis.asyncio import Redis

from config import RecordingSettings, Settings
from config.settings import RedisSettings
from engine import signals as sig
from engine.redis_link import RecordingStored, RedisLink
from media.live_recordings import LIVE_FOLDER
from media.recordings import RecordingStore
from state.call import (
    Call,
    CallEvent,
    CallState,
    DisconnectionReason,
    Findings,
    RecordingResult,
    Transition,
    utc_now,
)
from state.calls import CallStore, TransitionResult
from state.connection import connect
from state.embedded import EmbeddedRedis
from state.engines import EngineRegistry, EngineState, EngineStatus
from state.keys import Keys
from tests.media.wav_samples import left_by_dead_engine, read, sine, write_cut_short, write_finished
from tests.support.waiting import wait_until

T = TypeVar("T")
SPOKEN = sine(440, 0.5)


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


class Bench:
    """A link as an engine runs it, and the Redis behind it."""

    def __init__(self, url: str, root: Path, **recording: object) -> None:
        self.settings = Settings(
            redis=RedisSettings(url=url),
            recording=RecordingSettings.model_validate({"root": root, "free_space_floor_mb": 0, **recording}),
        )
        self._url = url
        self.status = EngineStatus(
            "e1", "e1", os.getpid(), EngineState.UP, 10, "127.0.0.1:5060", 0, 0, 1, 0, 0
        )
        self.recordings = RecordingStore(self.settings.recording, "e1")
        self.link = RedisLink(self.settings, url, self.recordings, self.status)

    def start(self) -> None:
        self.link.start()

    def stop(self) -> None:
        self.link.stop(5)
        self.recordings.close()

    def calls(self, work: Callable[[CallStore, EngineRegistry], Awaitable[T]]) -> T:
        async def run() -> T:
            async with connect(self._url) as redis:
                return await work(self.store(redis), self.registry(redis))

        return asyncio.run(run())

    def store(self, redis: Redis) -> CallStore:
        return CallStore(redis, Keys(), retention=100, engine_lost_after=60)

    def registry(self, redis: Redis) -> EngineRegistry:
        return EngineRegistry(redis, Keys(), lost_after=60)

    def connected(self, call_id: str, retention_days: int | None = None) -> Call:
        """A recorded call that is `connected`."""
        call = Call(
            id=call_id,
            recording_retention_days=retention_days,
            client_id="client",
            enterprise_id="acme",
            caller="+447700900001",
            callee=f"+44770090{len(call_id):04}",
            presented_number="+441632960000",
            created_at=utc_now(),
            recording_enabled=True,
            epoch=1,
        )

        async def create(store: CallStore, registry: EngineRegistry) -> None:
            await registry.heartbeat(self.status)
            first = CallEvent(id=f"{call_id}-0", call_id=call_id, state=call.state, at=call.created_at)
            await store.create(call, first)
            for state in (CallState.CALLING_CALLER, CallState.CALLING_CALLEE, CallState.CONNECTED):
                step = Transition.to(state, call_id=call_id, epoch=1, at=utc_now())
                assert await store.transition(step) is TransitionResult.APPLIED

        self.calls(create)
        return call

    def reap(self, call_id: str) -> None:
        """End a call as the reaper does."""
        end = Transition.to(
            CallState.DISCONNECTED,
            call_id=call_id,
            epoch=1,
            at=utc_now(),
            reason=DisconnectionReason.OTHER,
            duration=1,
            recording_result=RecordingResult.FAIL,
        )
        result = self.calls(lambda store, _: store.transition(end, take_over=True))
        assert result is TransitionResult.APPLIED

    def record(self, call_id: str) -> Call:
        call = self.calls(lambda store, _: store.get(call_id))
        assert call is not None
        return call

    def keep(self, call: Call) -> str:
        """Hand a finished recording over as the PJ thread does; the path it is stored under."""
        self.link.store_recording(call)
        wait_until(lambda: any(isinstance(one, RecordingStored) for one in self.link.inbox))
        (stored,) = [one for one in self.link.inbox if isinstance(one, RecordingStored)]
        assert stored.path is not None
        return stored.path

    def end(self, call: Call, path: str) -> None:
        """Publish the end of a call as the PJ thread does."""
        step = sig.Publish(
            CallState.DISCONNECTED,
            utc_now(),
            reason=DisconnectionReason.HANG_UP,
            duration=1,
            recording_result=RecordingResult.SUCCESS,
        )
        self.link.publish(call, step, Findings(recording_path=path))


@pytest.fixture
def bench(redis_url: str, root: Path) -> Iterator[Bench]:
    bench = Bench(redis_url, root, retention_days=7)
    yield bench
    bench.stop()


def test_the_recording_of_a_dead_engine_reaches_its_call(bench: Bench, root: Path) -> None:
    bench.connected("ended", retention_days=30)
    bench.connected("live-still")
    bench.reap("ended")
    for path in left_by_dead_engine(root, "ended", "live-still", "unknown"):
        write_cut_short(path, SPOKEN)
    bench.start()
    wait_until(lambda: not list((root / LIVE_FOLDER).iterdir()), what="the end of the dead engine's folder")

    ended = bench.record("ended")
    assert ended.recording_result is RecordingResult.SUCCESS
    assert ended.recording_path is not None
    assert ended.recording_path.endswith(".30d/ended.wav")
    np.testing.assert_array_equal(read(root / ended.recording_path)[1][:, 0], SPOKEN)
    # Its engine is not lost yet: whoever ends it finds the recording.
    found = bench.record("live-still").recording_path
    assert found is not None
    assert len(Path(found).parent.name) == len("2026-03-04")
    bench.reap("live-still")
    assert bench.record("live-still").recording_result is RecordingResult.SUCCESS
    # Nobody knows the third call, but its recording is not thrown away.
    assert list(root.glob("*/unknown.wav"))


def test_one_recording_that_cannot_be_saved_does_not_stop_the_others(bench: Bench, root: Path) -> None:
    bench.connected("good")
    bad, good = left_by_dead_engine(root, "bad", "good")
    write_cut_short(good, SPOKEN)
    bad.mkdir()  # neither a file nor absent
    bench.start()
    wait_until(lambda: not good.exists())
    assert bench.record("good").recording_path is not None
    assert bad.exists()
    assert not bench.link.broken


def test_a_live_file_goes_when_redis_has_the_end_of_its_call(bench: Bench, root: Path) -> None:
    call = bench.connected("c1", retention_days=30)
    bench.start()
    (live,) = bench.recordings.live_paths("c1", "mixed")
    write_finished(live, SPOKEN)
    path = bench.keep(call)
    assert path.endswith(".30d/c1.wav")
    assert live.exists()
    bench.end(call, path)
    wait_until(lambda: not live.exists())
    assert bench.record("c1").recording_path == path
    assert (root / path).is_file()


def test_a_call_that_was_taken_away_gets_its_recording_all_the_same(bench: Bench) -> None:
    """The engine was silent for so long that the reaper ended the call; its recording is whole."""
    call = bench.connected("c1")
    bench.start()
    (live,) = bench.recordings.live_paths("c1", "mixed")
    write_finished(live, SPOKEN)
    path = bench.keep(call)
    bench.reap("c1")
    bench.end(call, path)
    wait_until(lambda: not live.exists())
    record = bench.record("c1")
    assert (record.recording_result, record.recording_path) == (RecordingResult.SUCCESS, path)
    assert record.reason is DisconnectionReason.OTHER


def test_expired_recordings_are_deleted_at_the_start(bench: Bench, root: Path) -> None:
    paths = []
    for days in (8, 6):
        at = utc_now() - timedelta(days=days)
        path = root / at.date().isoformat() / "c1.wav"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        os.utime(path, (at.timestamp(), at.timestamp()))
        paths.append(path)
    bench.start()
    wait_until(lambda: not paths[0].parent.exists())
    assert paths[1].exists()


@pytest.mark.parametrize(("floor", "can_record"), [(0, True), (10**9, False)])
def test_the_heartbeat_says_whether_there_is_room(
    redis_url: str, root: Path, floor: int, can_record: bool
) -> None:
    bench = Bench(redis_url, root, free_space_floor_mb=floor)
    bench.start()
    try:
        wait_until(lambda: bench.calls(lambda _, registry: registry.statuses()))
        (status,) = bench.calls(lambda _, registry: registry.statuses())
        assert status.can_record is can_record
    finally:
        bench.stop()
