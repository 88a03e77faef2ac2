"""Delivery: the events of 1,000 calls to 50 sinks, of which 10 are dead, 10 slow and 5 flap.

A real notifier, and a real Redis with its append-only file; the calls are made and moved on in the store as
an engine would. Measured are the delay from transition to sink at the healthy sinks, and what notifier and
Redis spend on an event; beside it the same for a bare client, which takes the healthy sinks' events from a
list, at the pace at which the calls made them, and posts them (delivery_bare.py). Afterwards each event must
have gone where it had to, in order (delivery_verdict.py).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from redis.asyncio import Redis

from bench.delivery_load import Load, MadeCall, enterprise_id
from bench.delivery_sinks import BARE_PATH, Arrival, Manner, Sinks
from bench.delivery_verdict import Verdict, judge
from bench.report import Figure, Report, percentile
from bench.soak_process import footprint, waited_for_cpu
from state.calls import CallStore
from state.connection import connect
from state.dead_letters import DeadLetters
from state.embedded import EmbeddedRedis
from state.engines import EngineRegistry
from state.keys import Keys
from tests.api.processes import NotifierProcess

MANNERS = (
    *[Manner.HEALTHY] * 25,
    *[Manner.SLOW] * 10,
    *[Manner.OVERLOADED] * 3,
    *[Manner.CUTTING] * 2,
    *[Manner.REFUSING] * 5,
    *[Manner.SILENT] * 5,
)
CALLS = 1000
RATE = 60.0
"""Per second: what one host is to carry."""
TARGET = 100.0
"""Milliseconds: the 95th percentile of the delay at healthy sinks."""
DELIVERED_WITHIN = 150.0
"""Seconds: a slow sink takes 5 for each event of a call, and a flapping one has us wait between attempts."""
KEYS = Keys("bench")
RETENTION = 3600
LOST_AFTER = 5.0


def measure(folder: Path, seed: int) -> Report:
    redis = EmbeddedRedis(folder / "redis")
    redis.start()
    notifier = NotifierProcess(write_config(folder, redis.url, MANNERS))
    try:
        with Sinks(folder, MANNERS) as sinks:
            return asyncio.run(_measure(redis.url, sinks, notifier, Random(seed)))
    finally:
        notifier.stop()
        redis.stop()


def write_config(folder: Path, redis_url: str, manners: Sequence[Manner], notifier: str = "") -> Path:
    """The defaults, but for sinks without TLS on this machine; `notifier`: further lines of its section."""
    lines = [
        f'redis = {{ url = "{redis_url}", prefix = "{KEYS.prefix}" }}',
        "[notifier]",
        "allow_insecure_sinks = true",
        f'signing_key = "{folder / "sink-key.json"}"',
        notifier,
    ]
    for sink in range(len(manners)):
        lines += [
            "[[enterprises]]",
            f'id = "{enterprise_id(sink)}"',
            'number = "+442079460000"',
            f'webhook_secrets = ["whsec_{"c2lnbmVk" * 4}"]',
        ]
    path = folder / "dialbridge.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def load_on(redis: Redis, sinks: Sinks, random: Random) -> Load:
    calls = CallStore(redis, KEYS, retention=RETENTION, engine_lost_after=LOST_AFTER)
    return Load(calls, EngineRegistry(redis, KEYS, lost_after=LOST_AFTER), sinks, random)


async def wait_delivered(redis: Redis, made: Iterable[MadeCall], manners: Sequence[Manner]) -> float:
    """Until nothing waits for a sink that is not dead, or the time is over; monotonic seconds, when."""
    deadline = monotonic() + DELIVERED_WITHIN
    left = [KEYS.outbox(call.call_id) for call in made if not manners[call.sink].is_dead]
    while left and monotonic() < deadline:
        await asyncio.sleep(0.2)
        async with redis.pipeline(transaction=False) as pipeline:
            for name in left:
                pipeline.exists(name)
            left = [name for name, there in zip(left, await pipeline.execute(), strict=True) if there]
    return monotonic()


async def verdict_of(redis: Redis, made: Sequence[MadeCall], sinks: Sinks) -> Verdict:
    waiting = {}
    for call in made:
        stored: Any = await redis.lrange(KEYS.outbox(call.call_id), 0, -1)
        waiting[call.call_id] = [json.loads(event)["id"] for event in stored]
    buried = defaultdict(list)
    async for letter in DeadLetters(redis, KEYS).all():
        buried[letter.event.owner].append(letter.event.id)
    arrivals = [arrival for arrival in sinks.arrivals() if arrival.path != BARE_PATH]
    return judge(made, sinks.manners, arrivals, waiting=waiting, dead_letters=buried)


@dataclass(frozen=True, slots=True)
class _Spent:
    """Seconds of CPU so far, by the kernel's accounting."""

    carrier: float
    redis: float

    @classmethod
    async def so_far(cls, pid: int, redis: Redis) -> _Spent:
        used = await redis.info("cpu")
        return cls(footprint(pid, 0).cpu_seconds, used["used_cpu_user"] + used["used_cpu_sys"])

    def since(self, before: _Spent, events: int) -> _Spent:
        """Milliseconds per event."""
        return _Spent(
            1000 * (self.carrier - before.carrier) / events, 1000 * (self.redis - before.redis) / events
        )


async def _measure(redis_url: str, sinks: Sinks, notifier: NotifierProcess, random: Random) -> Report:
    report = Report("delivery")
    async with connect(redis_url) as redis:
        notifier.start()
        load = load_on(redis, sinks, random)
        before, begin = await _Spent.so_far(notifier.pid, redis), monotonic()
        await load.run(CALLS, RATE)
        loaded, waited = monotonic() - begin, waited_for_cpu(notifier.pid)
        drained = await wait_delivered(redis, load.made, sinks.manners) - begin
        after = await _Spent.so_far(notifier.pid, redis)
        verdict = await verdict_of(redis, load.made, sinks)
        spent = after.since(before, verdict.counts["taken by sinks"])
        notifier.terminate()
        bare_delays, bare_spent = await _bare(redis_url, redis, sinks, load.made)
    for percent in (50, 95, 99):
        report.figures.append(
            Figure(
                f"transition to healthy sink, p{percent}",
                1000 * percentile(verdict.delays, percent),
                "ms",
                limit=1000 * percentile(bare_delays, percent),
                target=TARGET if percent == 95 else None,
            )
        )
    report.figures += [
        Figure("notifier's CPU per event taken", spent.carrier, "ms", limit=bare_spent.carrier),
        Figure("Redis's CPU per event taken, transition included", spent.redis, "ms", limit=bare_spent.redis),
        Figure("load", loaded, "s"),
        Figure("of which the notifier waited for a CPU", waited, "s"),
        Figure("until the last event was taken", drained, "s"),
    ]
    report.counts = {"calls": len(load.made), **verdict.counts}
    report.faults = verdict.faults
    report.faults += [f"{figure.name}: not under the target" for figure in report.figures if figure.is_missed]
    if again := verdict.counts["sent again after a 410"]:
        report.faults.append(f"{again} times an event was sent again after a 410")
    return report


async def _bare(
    redis_url: str, redis: Redis, sinks: Sinks, made: Sequence[MadeCall]
) -> tuple[list[float], _Spent]:
    """Seconds from list to sink, and milliseconds of CPU per event, of the bare client."""
    seen = {arrival.event_id: arrival for arrival in sinks.arrivals() if _is_healthy(arrival, sinks)}
    begun = {event: at for call in made for event, at in call.events.items() if event in seen}
    pace = sorted(begun.items(), key=lambda item: item[1])
    command = [sys.executable, "-m", "bench.delivery_bare", redis_url, f"{KEYS.root}bare"]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        if child.stdout is not None:
            await child.stdout.readline()
        before, shift = await _Spent.so_far(child.pid, redis), monotonic() - pace[0][1]
        pushed = {}
        for event, at in pace:
            await asyncio.sleep(max(0.0, at + shift - monotonic()))
            item = {"port": sinks.ports[seen[event].sink], "body": json.dumps(seen[event].event)}
            pushed[event] = monotonic()
            await redis.rpush(f"{KEYS.root}bare", json.dumps(item))
        while len(arrived := [one for one in sinks.arrivals() if one.path == BARE_PATH]) < len(pace):
            if child.returncode is not None:
                raise RuntimeError(f"the bare client ended with status {child.returncode}")
            await asyncio.sleep(0.1)
        spent = (await _Spent.so_far(child.pid, redis)).since(before, len(pace))
        await redis.rpush(f"{KEYS.root}bare", "")
        await child.wait()
    finally:
        if child.returncode is None:
            child.kill()
    return [arrival.at - pushed[arrival.event_id] for arrival in arrived], spent


def _is_healthy(arrival: Arrival, sinks: Sinks) -> bool:
    return sinks.manners[arrival.sink] is Manner.HEALTHY and arrival.path != BARE_PATH
