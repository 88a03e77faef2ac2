"""The demonstration's own lab: `dialbridge lab` as a child process on a free port."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dialbridge.child import Child, ChildSpec, describe_exit
from dialbridge.demo.failure import DemoFailedError
from dialbridge.ports import free_tcp

START_WITHIN = 45.0
STOP_WITHIN = 30.0
POLL = 0.1
PART = "the lab"


@dataclass(frozen=True, slots=True)
class LabAccess:
    """What var/lab.json says."""

    api_root: str
    token_url: str
    client_id: str
    client_secret: str
    other_client_id: str
    other_client_secret: str
    admin_client_id: str
    admin_client_secret: str
    enterprise_number: str
    redis_url: str
    config: str


class LabProcess:
    def __init__(self, var: Path, environment: Mapping[str, str] | None = None) -> None:
        """Starts at once, from the main thread; `stop` must follow. `environment` overrides its settings."""
        self.var = var
        self.log = var / "lab.log"
        var.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            ChildSpec(
                "lab",
                (sys.executable, "-m", "dialbridge", "lab", "--var", str(var), "--port", str(free_tcp())),
                environment=environment or {},
                # Its standard output tells the user the client's secret: not for a log that a failure quotes.
                quiet=True,
                output=self.log,
                death_signal=signal.SIGTERM,
            )
        )

    def wait_ready(self, idle: Callable[[float], None]) -> LabAccess:
        """Raises DemoFailedError if the lab does not come up; `idle` waits some seconds."""
        deadline = time.monotonic() + START_WITHIN
        description = self.var / "lab.json"
        while not description.exists():
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailedError(PART, f"was not ready within {START_WITHIN:.0f} s")
            idle(POLL)
        content = json.loads(description.read_text())
        return LabAccess(**{name: content[name] for name in LabAccess.__dataclass_fields__})

    def check(self) -> None:
        """Raises DemoFailedError if the lab has ended."""
        status = self._child.exit_status()
        if status is not None:
            raise DemoFailedError(PART, f"ended with {describe_exit(status)}")

    def stop(self, idle: Callable[[float], None]) -> None:
        """In order; raises DemoFailedError if it had to be killed or complained."""
        if self._child.exit_status() is None:
            self._child.terminate()
        deadline = time.monotonic() + STOP_WITHIN
        while (status := self._child.exit_status()) is None:
            if time.monotonic() > deadline:
                self.kill()
                raise DemoFailedError(PART, f"did not stop within {STOP_WITHIN:.0f} s and was killed")
            idle(POLL)
        if status != 0:
            raise DemoFailedError(PART, f"stopped with {describe_exit(status)}")

    def kill(self) -> None:
        """At once. Its children end with it: the kernel sees to that."""
        self._child.sweep()

    def log_tail(self, process: str | None, lines: int = 12) -> list[str]:
        """The last lines of the log, those of one process if it has any."""
        if not self.log.exists():
            return []
        everything = self.log.read_text(errors="replace").splitlines()
        of_process = [line for line in everything if process and f"process={process}" in line]
        return (of_process or everything)[-lines:]
