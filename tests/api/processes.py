"""The product's processes, as the tests start and end them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from config.settings import CONFIG_VARIABLE
from tests.support.waiting import wait_until

START_TIMEOUT = 20.0
_LISTENING = re.compile(r"api listening on (http://\S+)")


class ProductProcess:
    """`python -m <module>` with a configuration file; its output goes to files beside the configuration."""

    def __init__(self, module: str, config: Path) -> None:
        self._command = [sys.executable, "-m", module]
        self._environment = {**os.environ, CONFIG_VARIABLE: str(config)}
        self._stdout = config.with_suffix(f".{module}.out")
        self._stderr = config.with_suffix(f".{module}.err")
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._stdout.open("wb") as out, self._stderr.open("ab") as err:
            self._child = subprocess.Popen(self._command, env=self._environment, stdout=out, stderr=err)

    def wait_for_output(self, pattern: re.Pattern[str], where: Path) -> re.Match[str]:
        found: list[re.Match[str]] = []

        def appeared() -> bool:
            assert self.exit_code() is None, f"the process ended:\n{self.log()}"
            found.extend(pattern.finditer(where.read_text()))
            return bool(found)

        wait_until(appeared, START_TIMEOUT, f"{pattern.pattern} in {where}")
        return found[-1]

    def exit_code(self) -> int | None:
        assert self._child is not None
        return self._child.poll()

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def wait(self, timeout: float = 20.0) -> int:
        assert self._child is not None
        return self._child.wait(timeout)

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        assert self._child is not None
        self._child.terminate()

    def terminate(self) -> int:
        self.ask_to_stop()
        return self.wait()

    def kill(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self.terminate()

    def log(self) -> str:
        return self._stderr.read_text()


class ApiProcess(ProductProcess):
    def __init__(self, config: Path) -> None:
        super().__init__("api", config)
        self.root = ""

    def start(self) -> None:
        super().start()
        self.root = self.wait_for_output(_LISTENING, self._stdout)[1]


class NotifierProcess(ProductProcess):
    def __init__(self, config: Path) -> None:
        super().__init__("api.notifier", config)

    def start(self) -> None:
        super().start()
        self.wait_for_output(re.compile("notifier_started"), self._stderr)
