"""One child process: started so that it cannot outlive us, ended with everything it started itself."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
# Loaded here: between fork and exec nothing may take a lock that another thread might hold.
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class ChildSpec:
    """How to run one child; times in seconds."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to our own."""
    directory: Path | None = None
    quiet: bool = False
    """Discard its standard output, whatever `output` says; the error output is never discarded."""
    stop_timeout: float = 10.0
    """From SIGTERM to SIGKILL."""
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when we are gone, however we ended."""
    is_ready: Callable[[], bool] | None = None
    """Asked before the next child is started; none: ready as soon as it runs."""
    start_timeout: float = 20.0
    complaints: Callable[[], str] | None = None
    """What the child itself wrote about its end, for a failure message."""
    output: Path | None = None
    """A file to which its standard and error output are appended."""


class Child:
    """A running child. Only the main thread may make one: its death signal comes when that thread ends."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.started_at = time.monotonic()
        parent = os.getpid()
        death_signal = int(spec.death_signal)

        def before_exec() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:  # we died before the kernel was told
                os.kill(os.getpid(), signal.SIGKILL)

        output = spec.output.open("ab") if spec.output else None
        self.process = subprocess.Popen(
            spec.command,
            env={**os.environ, **spec.environment},
            cwd=spec.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if spec.quiet else output,
            stderr=output,
            # Its own process group: Ctrl-C at the terminal reaches only us, who end it in order.
            process_group=0,
            preexec_fn=before_exec,  # noqa: PLW1509 - no other thread runs yet
        )
        if output:
            output.close()

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def uptime(self) -> float:
        return time.monotonic() - self.started_at

    def exit_status(self) -> int | None:
        """None while it runs; minus the signal's number if a signal ended it."""
        return self.process.poll()

    def terminate(self) -> None:
        self.process.terminate()

    def sweep(self) -> None:
        """Kill whatever is left of its process group, the child included."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait()


def describe_exit(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    return f"signal {signal.Signals(-status).name}"
