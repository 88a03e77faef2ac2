"""The sinks of the delivery bench, each at a port of its own: what they are like, and what reached them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, cast

GONE_PATH = "/gone/"
"""Before a call's id: the sink takes the first event of this call, and answers 410 to the second."""
BARE_PATH = "/bare"
"""For the bare client that the notifier is compared with (delivery_bare.py)."""


class Manner(StrEnum):
    HEALTHY = "healthy"
    SLOW = "slow"
    """Takes each event, after five seconds."""
    OVERLOADED = "overloaded"
    """Answers 503 every other few seconds."""
    CUTTING = "cutting"
    """Cuts connections every other few seconds."""
    REFUSING = "refusing"
    """Refuses connections."""
    SILENT = "silent"
    """Takes connections and never answers."""

    @property
    def is_dead(self) -> bool:
        return self in (Manner.REFUSING, Manner.SILENT)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that reached a sink which is not dead."""

    at: float
    """Monotonic seconds, when it was whole."""
    sink: int
    path: str
    status: int
    """As answered; 0: the connection was cut."""
    event: dict[str, Any]

    @property
    def event_id(self) -> str:
        return str(self.event["id"])

    @property
    def call_id(self) -> str:
        return str(self.event["data"]["callId"])

    @property
    def is_taken(self) -> bool:
        return self.status == 204


class Sinks:
    """All of them in one process; use it as a context manager."""

    def __init__(self, folder: Path, manners: Sequence[Manner]) -> None:
        self._log = folder / "arrivals.jsonl"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.delivery_sink_server", str(self._log), *manners],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # mypy: both are there, as PIPE says.
        self._input, self._output = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)
        self.manners = tuple(manners)
        self.ports: list[int] = json.loads(self._answer())

    def __enter__(self) -> Sinks:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        self._process.wait(10)
        self._output.close()

    def root(self, sink: int) -> str:
        return f"http://127.0.0.1:{self.ports[sink]}"

    def arrivals(self) -> list[Arrival]:
        """All so far."""
        self._input.write("write\n")
        self._input.flush()
        self._answer()
        return [Arrival(**json.loads(line)) for line in self._log.read_text().splitlines()]

    def _answer(self) -> str:
        if not (line := self._output.readline()):
            raise RuntimeError(f"the sinks ended with status {self._process.wait()}")
        return line
