"""Waiting for something that happens elsewhere, without sleeping longer than needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

_never = threading.Event()


def wait_until(condition: Callable[[], object], timeout: float = 10.0, what: str = "") -> None:
    """Until `condition()` is true; raises AssertionError naming `what` after `timeout` seconds."""
    deadline = monotonic() + timeout
    while not condition():
        if monotonic() > deadline:
            raise AssertionError(f"{what or condition} did not happen within {timeout} s")
        _never.wait(0.01)
