"""Timers of the PJ thread: they fire between two turns of its loop, never inside a SIP callback."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, order=True)
class Alarm:
    due: float
    number: int
    action: Callable[[], None] | None = field(compare=False)
    """None once fired or stopped."""


class Timers:
    def __init__(self) -> None:
        self._heap: list[Alarm] = []
        self._started = 0
        self._running = 0

    def start(self, seconds: float, action: Callable[[], None]) -> Alarm:
        self._started += 1
        self._running += 1
        alarm = Alarm(time.monotonic() + seconds, self._started, action)
        heapq.heappush(self._heap, alarm)
        return alarm

    def stop(self, alarm: Alarm) -> None:
        """Has no effect on an alarm that fired already."""
        if alarm.action is None:
            return
        alarm.action = None
        self._running -= 1
        # A call's maximum duration is hours, most calls are minutes: do not keep what was stopped until then.
        if len(self._heap) > 2 * self._running + 64:
            self._heap = [kept for kept in self._heap if kept.action is not None]
            heapq.heapify(self._heap)

    def fire_due(self) -> None:
        now = time.monotonic()
        while self._heap and self._heap[0].due <= now:
            alarm = heapq.heappop(self._heap)
            if alarm.action is not None:
                action, alarm.action = alarm.action, None
                self._running -= 1
                action()

    def __len__(self) -> int:
        """Alarms that will still fire."""
        return self._running
