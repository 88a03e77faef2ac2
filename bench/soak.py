"""`make soak`: random calls for a while, then proof that each ended once and that nothing is left of any.

A lab of its own (Redis, engine, api, notifier, SIPp phones) is called at a steady rate: every behaviour of
its phones on both legs, half of the calls recorded, most of them deleted at a random moment. Afterwards each
call must have exactly one terminal event, in Redis and at the sink, and one call detail record; the engine
must hold no leg, bridge port, recorder, timer or SIP dialog and no more descriptors than before; and its
memory must have been flat after the first minute. The exit status is 0 only then.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.soak_load import Load
from bench.soak_process import Footprint, footprint
from config import load_settings
from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.lab_process import LabAccess, LabProcess
from dialbridge.demo.sink import Sink
from state.call import utc_now
from state.calls import CallStore
from state.cdr import CallDetailRecords
from state.connection import connect
from state.engines import EngineRegistry, EngineStatus
from state.keys import Keys

LOOK_INTERVAL = 5.0
DRAIN_WITHIN = 90.0
"""Seconds until even a BYE that nobody answers is over (32 s), and the longest call before it."""
WARM_UP = 60.0
"""Seconds after which memory must not grow any more."""
GROWTH_LIMIT = 0.05
"""Of the memory after the warm-up: what an allocator's fragmentation may add."""
TERMINAL = ("disconnected", "failed")


@dataclass(slots=True)
class Findings:
    engine: list[Footprint] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    endings: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    at_most: int = 0
    """Calls at once."""


class Soak:
    def __init__(self, lab: LabAccess, sink: Sink, random: Random) -> None:
        settings = load_settings(Path(lab.config))
        self._redis = connect(lab.redis_url)
        keys = Keys(settings.redis.prefix)
        lost_after = settings.engine.lost_after
        self._engines = EngineRegistry(self._redis, keys, lost_after=lost_after)
        self._calls = CallStore(
            self._redis, keys, retention=settings.call.retention, engine_lost_after=lost_after
        )
        self._cdrs = CallDetailRecords(self._redis, keys)
        self._sink = sink
        self._delivered: Counter[str] = Counter()
        self._load = Load(lab, sink.url, random)
        self._created_at = utc_now()
        self._begin = 0.0
        self.findings = Findings()

    async def run(self, seconds: float, rate: float) -> Findings:
        async with self._redis, aclosing(self._load):
            await self._load.warm_up()
            await self._wait_idle()
            before = await self._engine()
            self._begin = monotonic()
            self._measure(before)
            load = asyncio.create_task(self._load.run(seconds, rate))
            while not load.done():
                await asyncio.wait({load}, timeout=LOOK_INTERVAL)
                self._measure(await self._engine())
            load.result()
            await self._wait_idle()
            await self._judge(before)
        return self.findings

    async def _engine(self) -> EngineStatus:
        statuses = await self._engines.statuses()
        if len(statuses) != 1:
            raise DemoFailedError(
                "the engine", f"is not there once but {len(statuses)} times", process="engine"
            )
        return statuses[0]

    def _measure(self, engine: EngineStatus) -> None:
        self.findings.at_most = max(self.findings.at_most, engine.calls)
        self.findings.engine.append(footprint(engine.pid, monotonic() - self._begin))
        self._take_events()

    def _take_events(self) -> None:
        for event in self._sink.new_events():
            if event.state in TERMINAL:
                # A delivery may be repeated; the id says that it is the same event.
                self._delivered[f"{event.data['callId']} {event.body['id']}"] += 1

    async def _wait_idle(self) -> None:
        """Until nothing is left, or the time for it is over."""
        deadline = monotonic() + DRAIN_WITHIN
        while True:
            engine = await self._engine()
            names = ("calls", "legs", "bridge_ports", "recorders", "timers", "dialogs")
            self.findings.left = {name: getattr(engine, name) for name in names}
            if not any(self.findings.left.values()) or monotonic() > deadline:
                return
            await asyncio.sleep(0.5)

    async def _judge(self, before: EngineStatus) -> None:
        found, faults = self.findings, self.findings.faults
        after = await self._engine()
        self._measure(after)
        if after.engine_id != before.engine_id:
            faults.append("the engine was started anew")
        faults += [f"{count} {name} left" for name, count in found.left.items() if count]
        extra = found.engine[-1].descriptors - found.engine[0].descriptors
        if extra > 0:
            faults.append(f"{extra} descriptors left")
        faults += [f"{count} times {what}" for what, count in self._load.outcome.surprises.items()]
        charged = Counter([r.call_id async for r in self._cdrs.between(self._created_at, utc_now())])
        for call_id in self._load.outcome.call_ids:
            call = await self._calls.get(call_id)
            ends = [e for e in await self._calls.events(call_id) if e.state.is_terminal]
            at_sink = [key for key in self._delivered if key.startswith(call_id)]
            if call is None or len(ends) != 1 or len(at_sink) != 1:
                faults.append(f"call {call_id}: {len(ends)} terminal events, {len(at_sink)} at the sink")
                continue
            if charged[call_id] != 1:
                faults.append(f"call {call_id}: {charged[call_id]} call detail records")
            found.endings[ends[0].reason.value if ends[0].reason else ends[0].state.value] += 1
        if (growth := memory_growth(found.engine)) is not None and growth > GROWTH_LIMIT:
            faults.append(f"memory grew by {growth:.1%} after the first minute")


def memory_growth(samples: list[Footprint]) -> float | None:
    """By how much the memory at the end of the load exceeds that after the warm-up; None for a short run."""
    end = samples[-1].at - LOOK_INTERVAL
    early = [s.memory_kb for s in samples if WARM_UP <= s.at < WARM_UP + 30]
    late = [s.memory_kb for s in samples if s.at >= end - 60]
    if not early or end < 2 * WARM_UP + 30:
        return None
    return sum(late) / len(late) / (sum(early) / len(early)) - 1


def report(found: Findings, load_seconds: float, rate: float) -> dict[str, str]:
    first, last = found.engine[0], found.engine[-1]
    growth = memory_growth(found.engine)
    peak = max(sample.memory_kb for sample in found.engine)
    count = sum(found.endings.values())
    return {
        "load": f"{rate:g} calls/s for {load_seconds:.0f} s, at most {found.at_most} at once",
        "calls": f"{count}, each with one terminal event and one call detail record",
        "ended as": ", ".join(f"{reason} {n}" for reason, n in found.endings.most_common()),
        "left in the engine": ", ".join(f"{n} {name}" for name, n in found.left.items()),
        "descriptors": f"{first.descriptors} before, {last.descriptors} after; "
        f"connections to Redis: {first.connections}, {last.connections}",
        "memory": ", ".join(
            f"{kb / 1024:.1f} MB {when}"
            for when, kb in (("before", first.memory_kb), ("at most", peak), ("after", last.memory_kb))
        ),
        "memory after 1 min": "too short a run to say" if growth is None else f"{growth:+.1%}",
        "engine's CPU": f"{last.cpu_seconds - first.cpu_seconds:.1f} s, "
        f"{1000 * (last.cpu_seconds - first.cpu_seconds) / max(count, 1):.1f} ms per call",
    }


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long new calls are placed.")] = 10.0,
    rate: Annotated[float, typer.Option(min=0.1, help="New calls per second.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Of the random choices.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder for the figures and the lab's log.")] = Path(
        "var/soak"
    ),
) -> None:
    console = Console(highlight=False, soft_wrap=True)
    output.mkdir(parents=True, exist_ok=True)
    lab_process = LabProcess(Path(mkdtemp(prefix="run-", dir=output)))
    sink = Sink()
    try:
        lab = lab_process.wait_ready(sleep)
        console.print(f"{rate:g} calls/s for {60 * minutes:.0f} s at {lab.api_root}, seed {seed} ...")
        found = asyncio.run(Soak(lab, sink, Random(seed)).run(60 * minutes, rate))
    except DemoFailedError as error:
        console.print(f"soak failed: {error.part} {error}", *lab_process.log_tail(error.process), sep="\n")
        sys.exit(1)
    finally:
        sink.close()
        with suppress(DemoFailedError):  # it has ended already
            lab_process.stop(sleep)
    figures = report(found, 60 * minutes, rate)
    table = Table(show_header=False)
    for name, value in figures.items():
        table.add_row(name, value)
    console.print(table)
    record = {"figures": figures, "faults": found.faults, "engine": [asdict(s) for s in found.engine]}
    (output / "soak.json").write_text(json.dumps(record, indent=1))
    for fault in found.faults[:20]:
        console.print(f"FAULT {fault}")
    verdict = "failed" if found.faults else "ok"
    console.print(f"soak {verdict}: {len(found.faults)} faults (lab's log: {lab_process.log})")
    sys.exit(1 if found.faults else 0)


if __name__ == "__main__":
    typer.run(main)
