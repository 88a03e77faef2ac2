"""Runs children in the foreground: starts them in order, restarts what dies, stops them in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from structlog import get_logger

from dialbridge.child import Child, ChildSpec, describe_exit

BACKOFF_INITIAL = 0.5
BACKOFF_MAX = 10.0
STABLE_AFTER = 30.0
"""A child that ran this many seconds starts again with the shortest delay."""
READY_POLL = 0.05
UNUSABLE_SETTINGS = 2
"""Exit status of a process that no restart would help."""
SAME_REQUEST = 1.0
"""Seconds in which a repeated signal is the same request: timeout(1), for one, signals pid and group."""
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})

log = get_logger()


class StartFailedError(Exception):
    """A child ended, or was not ready in time, while everything was being started."""


class StopRequestedError(Exception):
    """SIGTERM or SIGINT arrived while everything was being started."""


def next_delay(previous: float | None, uptime: float) -> float:
    """Seconds to wait before a restart: doubling, from the beginning after a stable run."""
    if previous is None or uptime >= STABLE_AFTER:
        return BACKOFF_INITIAL
    return min(previous * 2, BACKOFF_MAX)


@dataclass
class _Restart:
    spec: ChildSpec
    due: float
    delay: float


class Supervisor:
    """Use it from the main thread, as a context manager: on leaving, nothing it started is running.

    It blocks its signals and takes them synchronously (sigtimedwait), so no handler interrupts anything. They
    stay blocked: supervising is the last thing its process does, and a late signal must not spoil its end.
    """

    def __init__(self, start_order: Sequence[ChildSpec], stop_order: Sequence[str]) -> None:
        """`stop_order`: names; a child not named is stopped first."""
        self._start_order = start_order
        self._stop_order = stop_order
        self._children: dict[str, Child] = {}
        self._restarts: dict[str, _Restart] = {}
        self._delays: dict[str, float] = {}
        self._stopping_since: float | None = None

    def __enter__(self) -> Supervisor:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            for child in self._children.values():
                child.sweep()

    def start(self) -> None:
        """Start everything, each child once the one before is ready.

        Raises StartFailedError if a child ends or is not ready in time, StopRequestedError on a signal.
        """
        for spec in self._start_order:
            self._launch(spec)
            deadline = time.monotonic() + spec.start_timeout
            while spec.is_ready is not None and not spec.is_ready():
                if time.monotonic() > deadline:
                    raise StartFailedError(f"the {spec.name} was not ready within {spec.start_timeout:.0f} s")
                self.check_start(READY_POLL)

    def check_start(self, timeout: float) -> None:
        """Wait at most `timeout` seconds; like `start`, an end of a child or a signal to stop is an error."""
        if self._take_signal(timeout):
            raise StopRequestedError
        for child in self._children.values():
            status = child.exit_status()
            if status is not None:
                raise StartFailedError(
                    f"the {child.name} ended with {describe_exit(status)} while starting{_quoted(child.spec)}"
                )

    def run(self) -> None:
        """Keep everything running until SIGTERM, SIGINT or SIGHUP.

        Raises StartFailedError if a child cannot use its settings.
        """
        while not self._take_signal(self._until_restart()):
            self._reap()
            self._restart_due()

    def stop(self) -> None:
        """SIGTERM in the stop order, SIGKILL after each one's timeout; another signal: SIGKILL at once."""
        if self._stopping_since is not None:
            return
        self._stopping_since = time.monotonic()
        log.info("stopping", children=list(self.pids()))
        self._restarts.clear()
        unnamed = [name for name in self._children if name not in self._stop_order]
        for name in (*unnamed, *self._stop_order):
            child = self._children.get(name)
            if child is None:
                continue
            if not self._stop_one(child):
                log.warning("stopping at once")
                return

    def pids(self) -> dict[str, int]:
        """Process ids of the running children by name."""
        return {name: child.pid for name, child in self._children.items() if child.exit_status() is None}

    def _launch(self, spec: ChildSpec) -> None:
        self._children[spec.name] = child = Child(spec)
        log.info("started", child=spec.name, child_pid=child.pid)

    def _reap(self) -> None:
        for name, child in list(self._children.items()):
            status = child.exit_status()
            if status is None or name in self._restarts:
                continue
            child.sweep()
            if status == UNUSABLE_SETTINGS:
                raise StartFailedError(f"the {name} cannot run with these settings; it has said why")
            delay = self._delays[name] = next_delay(self._delays.get(name), child.uptime)
            self._restarts[name] = _Restart(child.spec, time.monotonic() + delay, delay)
            log.error(
                f"child ended{_quoted(child.spec)}", child=name, exit=describe_exit(status), restart_in=delay
            )

    def _restart_due(self) -> None:
        now = time.monotonic()
        for name, restart in list(self._restarts.items()):
            if restart.due <= now:
                del self._restarts[name]
                self._launch(restart.spec)

    def _until_restart(self) -> float:
        soonest = min((restart.due for restart in self._restarts.values()), default=time.monotonic() + 5.0)
        return max(0.0, soonest - time.monotonic())

    def _stop_one(self, child: Child) -> bool:
        """False if a second signal asks to stop at once."""
        began = time.monotonic()
        if child.exit_status() is None:
            child.terminate()
        while child.exit_status() is None:
            left = began + child.spec.stop_timeout - time.monotonic()
            if left <= 0:
                log.warning("killed: it did not stop", child=child.name, after=child.spec.stop_timeout)
                break
            if self._take_signal(left) and self._stopping_for() > SAME_REQUEST:
                return False
        child.sweep()
        log.info("stopped", child=child.name, seconds=round(time.monotonic() - began, 2))
        return True

    def _stopping_for(self) -> float:
        return 0.0 if self._stopping_since is None else time.monotonic() - self._stopping_since

    @staticmethod
    def _take_signal(timeout: float) -> bool:
        """Wait for a signal; True if it asks to stop."""
        received = signal.sigtimedwait(SIGNALS, timeout)
        return received is not None and received.si_signo != signal.SIGCHLD


def _quoted(spec: ChildSpec) -> str:
    """What the child itself wrote about its end."""
    said = spec.complaints() if spec.complaints else ""
    return f": {said}" if said else ""
