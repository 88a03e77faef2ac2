"""kill -9 of notifiers and Redis in mid-delivery: each event arrives, in order, to the last."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from redis.asyncio import Redis

from bench import delivery
from bench.delivery_load import Load
from bench.delivery_sinks import Manner, Sinks
from state.connection import connect
from state.embedded import EmbeddedRedis
from tests.api.processes import NotifierProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

MANNERS = (*[Manner.HEALTHY] * 4, Manner.OVERLOADED, Manner.CUTTING)
SHORT = "timeout = 2.0\nbackoff_initial = 0.1\nbackoff_max = 0.5"
CALLS, RATE = 60, 20.0
LIFE = 7.0
"""Seconds from the first call to the last event, about."""


@pytest.fixture
def sinks(tmp_path: Path) -> Iterator[Sinks]:
    with Sinks(tmp_path, MANNERS) as started:
        yield started


class Victims:
    """A Redis and two notifiers, of which any may be killed and comes back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "redis"
        self._redis = EmbeddedRedis(self._folder)
        self._redis.start()
        self.url = self._redis.url
        self._notifiers = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            config = delivery.write_config(folder / name, self.url, MANNERS, SHORT)
            self._notifiers.append(NotifierProcess(config))
        for notifier in self._notifiers:
            notifier.start()

    def end(self) -> None:
        for notifier in self._notifiers:
            notifier.stop()
        self._redis.stop()

    async def kill_redis(self, redis: Redis) -> None:
        os.kill((await redis.info("server"))["process_id"], signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: not self._redis.is_running())
        await asyncio.to_thread(self._redis.start)

    async def kill_notifier(self, which: int) -> None:
        self._notifiers[which].kill()
        await asyncio.to_thread(self._notifiers[which].start)


@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    running = Victims(tmp_path)
    yield running
    running.end()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("what", ["notifiers", "redis", "all"])
def test_each_event_arrives_in_order_whatever_is_killed(
    victims: Victims, sinks: Sinks, what: str, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - a test that fails must fail again

    async def kill(redis: Redis, load: asyncio.Task[None]) -> int:
        killed = 0
        while not load.done():
            await asyncio.wait({load}, timeout=random.uniform(0.2, LIFE / 5))
            if what != "redis":
                await victims.kill_notifier(random.randrange(2))
            if what != "notifiers":
                await victims.kill_redis(redis)
            killed += 1
        return killed

    async def run() -> None:
        async with connect(victims.url) as redis:
            load: Load = delivery.load_on(redis, sinks, random)
            assert await kill(redis, asyncio.create_task(load.run(CALLS, RATE))) > 1
            await delivery.wait_delivered(redis, load.made, MANNERS)
            verdict = await delivery.verdict_of(redis, load.made, sinks)
            assert verdict.faults == []
            assert verdict.counts["events"] == 5 * CALLS

    asyncio.run(run())
