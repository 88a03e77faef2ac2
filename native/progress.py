"""Shows which steps are running and for how long: one rewritten line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

FIRST_SIGN = 2.0
"""Seconds after which a step that still runs is mentioned."""
HEARTBEAT = 10.0
"""Seconds between two signs of life where lines cannot be rewritten."""


class Progress:
    """Steps may overlap and may run in several threads. Writes to standard error."""

    def __init__(self, stream: TextIO | None = None, first_sign: float = FIRST_SIGN) -> None:
        self._stream = stream or sys.stderr
        self._first_sign = first_sign
        self._rewrites = self._stream.isatty()
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show `name` while the body runs, and afterwards how long it took if that was worth waiting for."""
        begun = time.monotonic()
        ended = threading.Event()
        with self._lock:
            self._running[name] = begun
        ticker = threading.Thread(target=self._tick, args=(name, ended), daemon=True)
        ticker.start()
        outcome = "stopped after"
        try:
            yield
            outcome = "done in"
        finally:
            ended.set()
            ticker.join()
            elapsed = time.monotonic() - begun
            with self._lock:
                del self._running[name]
                if elapsed >= self._first_sign:
                    self._line(f"  {name}: {outcome} {elapsed:.0f} s")

    def say(self, text: str) -> None:
        with self._lock:
            self._line(text)

    def _tick(self, name: str, ended: threading.Event) -> None:
        wait = self._first_sign
        while not ended.wait(wait):
            with self._lock:
                self._sign_of_life(name)
            wait = 1.0 if self._rewrites else HEARTBEAT

    def _sign_of_life(self, name: str) -> None:
        now = time.monotonic()
        if self._rewrites:
            running = ", ".join(f"{step} {now - begun:.0f} s" for step, begun in self._running.items())
            self._stream.write(f"\r\x1b[K  {running[:100]}")
        else:
            self._stream.write(f"  {name}: {now - self._running[name]:.0f} s ...\n")
        self._stream.flush()

    def _line(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}\n" if self._rewrites else f"{text}\n")
        self._stream.flush()
