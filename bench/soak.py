"""`make soak`: random calls for a while, then proof that each ended as it had to, and that nothing is left.

A lab of its own (Redis, engine, api, notifier, SIPp phones) with short timers is called by two clients at a
steady rate: every behaviour of its phones on both legs, one enterprise with prompts and recordings of two
channels, half of the calls recorded, most of them deleted at a random moment. Afterwards each call must have
ended as its phones allow, with exactly one terminal event, in Redis and at the sink, and one call detail
record; each recording must be as long and as loud as its call; no process may have logged an error; the
engine must hold no leg, bridge port, recorder, timer or SIP dialog and no more descriptors than before; and
its memory must have been flat after the first minute. The exit status is 0 only then.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.log_lines import LogLines
from bench.soak_load import Load
from bench.soak_outcomes import PHONES
from bench.soak_process import footprint
from bench.soak_recordings import Recording
from bench.soak_report import LOOK_INTERVAL, Findings, as_json, memory_growth, table
from bench.soak_settings import LONGEST, Times, environment
from bench.soak_situations import missing, situations
from bench.soak_verdict import REFRESHED_AFTER, EndedCall, faults_of, talked
from config import load_settings
from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.lab_process import LabAccess, LabProcess
from dialbridge.demo.sink import Sink
from state.call import Call, RecordingResult, utc_now
from state.calls import CallStore
from state.cdr import CallDetailRecords
from state.connection import connect
from state.engines import EngineRegistry, EngineStatus
from state.keys import Keys
from state.sip_trace import SipTrace

DRAIN_WITHIN = 90.0
"""Seconds until even a BYE that nobody answers is over (32 s), and the longest call before it."""
DELIVERED_WITHIN = 5.0
"""Seconds until the sink has the last event."""
GROWTH_LIMIT = 0.05
"""Of the memory after the warm-up: what an allocator's fragmentation may add."""
TERMINAL = ("disconnected", "failed")
SHOWN = 20
"""Faults."""


class Soak:
    def __init__(
        self, lab: LabAccess, sink: Sink, random: Random, times: Times, phones: Sequence[str]
    ) -> None:
        settings = load_settings(Path(lab.config))
        self._redis = connect(lab.redis_url)
        keys = Keys(settings.redis.prefix)
        lost_after, retention = settings.engine.lost_after, settings.call.retention
        self._engines = EngineRegistry(self._redis, keys, lost_after=lost_after)
        self._calls = CallStore(self._redis, keys, retention=retention, engine_lost_after=lost_after)
        self._cdrs = CallDetailRecords(self._redis, keys)
        self._trace = SipTrace(self._redis, keys, retention=retention)
        self._sink = sink
        self._delivered: defaultdict[str, set[str]] = defaultdict(set)
        """The ids of each call's terminal events: a delivery may be repeated."""
        self._times = times
        self._load = Load(lab, sink.url, random, times, phones)
        self._created_at = utc_now()
        self._begin = 0.0
        self.findings = Findings()
        self.ended: list[EndedCall] = []

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
            await self._wait_delivered()
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
                self._delivered[event.data["callId"]].add(event.body["id"])

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

    async def _wait_delivered(self) -> None:
        """Until the sink has heard of each call's end, or the time for it is over."""
        deadline = monotonic() + DELIVERED_WITHIN
        while len(self._delivered) < len(self._load.outcome.calls) and monotonic() < deadline:
            await asyncio.sleep(0.1)
            self._take_events()

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
        if (growth := memory_growth(found.engine)) is not None and growth > GROWTH_LIMIT:
            faults.append(f"memory grew by {growth:.1%} after the first minute")
        faults += [f"{count} times {what}" for what, count in self._load.outcome.surprises.items()]
        await self._look_at_calls()
        for call in self.ended:
            placed = call.placed
            told = f"call {placed.call_id}, {placed.caller} to {placed.callee}"
            faults += [f"{told}: {fault}" for fault in faults_of(call, self._times)]
            self._count(call)

    async def _look_at_calls(self) -> None:
        placed = {call.call_id: call for call in self._load.outcome.calls}
        records = {call_id: await self._calls.get(call_id) for call_id in placed}
        charged = Counter([cdr.call_id async for cdr in self._cdrs.between(self._created_at, utc_now())])
        recordings = await self._load.recordings([i for i, record in records.items() if _is_recorded(record)])
        for call_id, record in records.items():
            long = record is not None and talked(record) > REFRESHED_AFTER
            events = await self._calls.events(call_id)
            self.ended.append(
                EndedCall(
                    placed[call_id],
                    record,
                    terminal_events=sum(event.state.is_terminal for event in events),
                    at_sink=len(self._delivered[call_id]),
                    charged=charged[call_id],
                    recording=recordings.get(call_id),
                    sip=tuple(await self._trace.read(call_id)) if long else (),
                )
            )

    def _count(self, call: EndedCall) -> None:
        found = self.findings
        found.calls += 1
        if call.record is not None:
            found.endings[f"{call.record.state} {call.record.reason or ''}".strip()] += 1
            found.recording_results[str(call.record.recording_result or "not wanted")] += 1
        if isinstance(call.recording, Recording):
            found.recordings += 1
            found.recorded_seconds += call.recording.seconds


def _is_recorded(record: Call | None) -> bool:
    return record is not None and record.recording_result is RecordingResult.SUCCESS


def look_at_log(soak: Soak, log: Path, times: Times, phones: Sequence[str]) -> None:
    """When no process writes to it any more."""
    lines, found = LogLines.of(log), soak.findings
    found.faults += [f"{count} times in the log: {error}" for error, count in lines.errors.items()]
    found.situations = situations(soak.ended, lines, times)
    never = missing(found.situations, calls=found.calls, times=times, phones=phones)
    found.faults += [f"never occurred: {name}" for name in never]


def main(
    *,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long new calls are placed.")] = 10.0,
    rate: Annotated[float, typer.Option(min=0.1, help="New calls per second.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Of the random choices.")] = 1,
    longest: Annotated[float, typer.Option(min=10.0, help="Seconds of the longest calls.")] = LONGEST,
    phone: Annotated[
        list[str] | None, typer.Option(help="Last two digits of the numbers to call, repeated; else all.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the lab and its log.")] = Path("var/soak"),
    figures: Annotated[Path, typer.Option(help="File for the figures (JSON).")] = Path("var/bench/soak.json"),
) -> None:
    console = Console(highlight=False, soft_wrap=True)
    times, phones = Times(longest), phone or PHONES
    if unknown := set(phones) - set(PHONES):
        raise typer.BadParameter(f"no phone of the lab: {', '.join(sorted(unknown))}")
    output.mkdir(parents=True, exist_ok=True)
    lab_process = LabProcess(Path(mkdtemp(prefix="run-", dir=output)), environment(times))
    sink = Sink()
    try:
        lab = lab_process.wait_ready(sleep)
        console.print(f"{rate:g} calls/s for {60 * minutes:.0f} s at {lab.api_root}, seed {seed} ...")
        soak = Soak(lab, sink, Random(seed), times, phones)
        found = asyncio.run(soak.run(60 * minutes, rate))
        lab_process.stop(sleep)
    except DemoFailedError as error:
        console.print(f"{error.part} {error}", *lab_process.log_tail(error.process), sep="\n")
        console.print("soak FAILED: it did not come to its end")
        sys.exit(1)
    finally:
        sink.close()
        with suppress(DemoFailedError):  # it has ended already
            lab_process.stop(sleep)
    look_at_log(soak, lab_process.log, times, phones)
    shown = Table(show_header=False)
    for name, value in table(found, 60 * minutes, rate).items():
        shown.add_row(name, value)
    console.print(shown)
    figures.parent.mkdir(parents=True, exist_ok=True)
    content = as_json(found, load_seconds=60 * minutes, rate=rate, seed=seed, times=times)
    figures.write_text(json.dumps(content, indent=1) + "\n")
    for fault in found.faults[:SHOWN]:
        console.print(f"FAULT {fault}")
    if len(found.faults) > SHOWN:
        console.print(f"... and {len(found.faults) - SHOWN} more: {figures}")
    where = f"(figures: {figures}; lab's log: {lab_process.log})"
    if found.faults:
        console.print(f"soak FAILED: {len(found.faults)} faults {where}")
        sys.exit(1)
    console.print(f"soak ok: {found.calls} calls {where}")


if __name__ == "__main__":
    typer.run(main)
