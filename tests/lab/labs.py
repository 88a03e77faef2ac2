"""Labs, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dialbridge.ports import free_tcp
from tests.support import evidence
from tests.support.calls_client import CallsClient
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


class LabUnderTest:
    """One lab in its own process."""

    def __init__(self, var: Path, port: int, environment: Mapping[str, str]) -> None:
        """`environment`: added to our own."""
        self.var = var
        self.port = port
        self.log = var.with_name(f"{var.name}-{port}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dialbridge", "lab", "--var", str(var), "--port", str(port)],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        evidence.offer(str(self.log), lambda: evidence.tail(self.log))

    @property
    def description(self) -> Path:
        return self.var / "lab.json"

    def wait_ready(self) -> dict[str, str]:
        wait_until(lambda: self.description.exists() or self.process.poll() is not None, 40.0, "the lab")
        content: dict[str, str] = json.loads(self.description.read_text())
        return content

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def client(self) -> CallsClient:
        lab = self.wait_ready()
        return CallsClient(lab["api_root"], lab["client_id"], lab["client_secret"]).authenticate()


class Labs:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[LabUnderTest] = []

    def start(
        self,
        *,
        port: int | None = None,
        var: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> LabUnderTest:
        var = var or self._folder / f"lab-{len(self.started)}"
        lab = LabUnderTest(var, port or free_tcp(), environment or {})
        self.started.append(lab)
        return lab

    def end(self) -> None:
        """Whatever still runs."""
        for lab in self.started:
            evidence.withdraw(str(lab.log))
            lab.process.kill()
            lab.process.wait()
