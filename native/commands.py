"""Runs other programs, each with its output in a log file, and ends them all when one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from native.errors import SetupError

LAST_LINES = 15
GRACE = 5.0
"""Seconds that an ended program's children get before they are killed."""


class CommandError(SetupError):
    """A program ended with a failure; names its log file and shows the log's end."""


class Commands:
    """The programs started by one run of the set-up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self,
        command: Sequence[str | Path],
        *,
        what: str,
        log: Path,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        on_terminal: bool = False,
    ) -> None:
        """Run `command` to its end, appending its output to `log`.

        `on_terminal` leaves it in our own process group: sudo may have to ask for a password.
        Raises CommandError when it fails or when `stop` ended it.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"$ {' '.join(str(word) for word in command)}\n".encode())
            output.flush()
            with self._lock:
                if self._stopped:
                    raise CommandError(f"{what} was stopped")
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=_environment(variables or {}),
                    stdin=None if on_terminal else subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=not on_terminal,
                )
                self._running.add(process)
        try:
            status = process.wait()
        finally:
            with self._lock:
                self._running.discard(process)
            if not on_terminal:
                _end_group(process.pid)
            elif process.poll() is None:
                process.terminate()
            process.wait()
        if self._stopped:
            raise CommandError(f"{what} was stopped")
        if status != 0:
            raise CommandError(f"{what} failed with status {status}; its log is {log} and ends:\n{tail(log)}")

    def stop(self) -> None:
        """End every running program and refuse new ones."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()

    def together(self, *tasks: Callable[[], None]) -> None:
        """Run the tasks at the same time; the first failure stops the others and is raised."""
        with ThreadPoolExecutor(len(tasks)) as pool:
            futures = [pool.submit(task) for task in tasks]
            try:
                finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
                failures = [error for future in finished if (error := future.exception())]
            except BaseException:
                self.stop()
                raise
            if failures:
                self.stop()
                raise failures[0]


def tail(log: Path) -> str:
    """The last lines of a log file, indented."""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(f"    {line}" for line in lines)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Ours, in English (apt's and make's words end up in logs), without the job server of a calling make."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    return {**inherited, "LC_ALL": "C", **variables}


def _end_group(group: int) -> None:
    """End what is left of a program: compilers outlive an interrupted make for a moment."""
    deadline = time.monotonic() + GRACE
    try:
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing is left
