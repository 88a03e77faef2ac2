"""What a soak found, as a table and as figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from statistics import mean
from typing import Any

from bench.soak_process import Footprint
from bench.soak_settings import Times

LOOK_INTERVAL = 5.0
WARM_UP = 60.0
"""Seconds after which memory must not grow any more."""


@dataclass(slots=True)
class Findings:
    engine: list[Footprint] = field(default_factory=list)
    at_most: int = 0
    """Calls at once."""
    calls: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    """By state and reason."""
    recording_results: Counter[str] = field(default_factory=Counter)
    recordings: int = 0
    """Fetched and found to be whole."""
    recorded_seconds: float = 0.0
    situations: dict[str, int] = field(default_factory=dict)
    """How often each occurred that the soak wants."""
    left: dict[str, int] = field(default_factory=dict)
    """In the engine, of what."""
    faults: list[str] = field(default_factory=list)

    @property
    def cpu_seconds(self) -> float:
        return self.engine[-1].cpu_seconds - self.engine[0].cpu_seconds


def memory_growth(samples: list[Footprint]) -> float | None:
    """By how much the memory at the end of the load exceeds that after the warm-up; None for a short run."""
    end = samples[-1].at - LOOK_INTERVAL
    early = [s.memory_kb for s in samples if WARM_UP <= s.at < WARM_UP + 30]
    late = [s.memory_kb for s in samples if s.at >= end - 60]
    if not early or end < 2 * WARM_UP + 30:
        return None
    return mean(late) / mean(early) - 1


def table(found: Findings, load_seconds: float, rate: float) -> dict[str, str]:
    first, last = found.engine[0], found.engine[-1]
    early = [s.memory_kb for s in found.engine if s.at < WARM_UP]
    growth = memory_growth(found.engine)
    after = "too short a run to say" if growth is None else f"{growth:+.1%}"
    per_call = 1000 * found.cpu_seconds / max(found.calls, 1)
    return {
        "load": f"{rate:g} calls/s for {load_seconds:.0f} s, at most {found.at_most} at once",
        "calls": f"{found.calls}",
        "ended as": _counts(found.endings),
        "recordings": f"{_counts(found.recording_results)}; {found.recordings} fetched and found whole, "
        f"{found.recorded_seconds / 60:.1f} min",
        "occurred": _counts(Counter(found.situations)),
        "left in the engine": ", ".join(f"{n} {name}" for name, n in found.left.items()),
        "descriptors": f"{first.descriptors} before, {last.descriptors} after; "
        f"connections to Redis: {first.connections}, {last.connections}",
        "memory": f"at most {max(early) / 1024:.1f} MB in the first minute, {last.memory_kb / 1024:.1f} MB "
        f"at the end; growth after the first minute: {after}",
        "engine's CPU": f"{found.cpu_seconds:.1f} s, {per_call:.1f} ms per call",
        "faults": f"{len(found.faults)}",
    }


def as_json(found: Findings, *, load_seconds: float, rate: float, seed: int, times: Times) -> dict[str, Any]:
    """The figures as JSON."""
    return {
        "verdict": "FAILED" if found.faults else "ok",
        "load_seconds": load_seconds,
        "rate": rate,
        "seed": seed,
        "longest_call_seconds": times.longest,
        **{name: getattr(found, name) for name in Findings.__dataclass_fields__ if name != "engine"},
        "memory_growth": memory_growth(found.engine),
        "engine_cpu_ms_per_call": 1000 * found.cpu_seconds / max(found.calls, 1),
        "engine": [asdict(sample) for sample in found.engine],
    }


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{what} {n}" for what, n in counter.most_common()) or "none"
