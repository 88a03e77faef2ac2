"""Which sinks are down: one that is gets a single attempt now and then, whatever waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

PROBE_AT_MOST = 30.0
"""Seconds between two probes at most: so long, events may wait for a sink that is back."""


Sink = tuple[str, str]
"""Enterprise id and authority."""


@dataclass(slots=True)
class _Outage:
    next_probe: float
    interval: float
    probing: bool = False


class SinkHealth:
    """Of one notifier, by what its own attempts met.

    A sink is an enterprise and an authority (host and port): many enterprises may have theirs at one
    provider, and what one of them answers must not hold up the others' events.
    """

    def __init__(self, first_interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`first_interval`: seconds until the first probe, doubled with each that fails."""
        self._first = min(first_interval, PROBE_AT_MOST)
        self._clock = clock
        self._outages: dict[Sink, _Outage] = {}

    def wait(self, sink: Sink) -> float:
        """Seconds until the sink may be tried again; 0: now."""
        outage = self._outages.get(sink)
        if outage is None:
            return 0
        left = outage.next_probe - self._clock()
        return max(left, self._first) if outage.probing else max(left, 0)

    def began(self, sink: Sink) -> None:
        """An attempt at the sink has begun."""
        if (outage := self._outages.get(sink)) is not None:
            outage.probing = True

    def reached(self, sink: Sink) -> None:
        """It has answered, whatever it said of the event."""
        self._outages.pop(sink, None)

    def missed(self, sink: Sink) -> None:
        """It could not be reached, or said that it is overloaded."""
        outage = self._outages.get(sink)
        now = self._clock()
        if outage is None:
            self._outages[sink] = _Outage(now + self._first, self._first)
        elif outage.probing:
            outage.interval = min(2 * outage.interval, PROBE_AT_MOST)
            outage.next_probe, outage.probing = now + outage.interval, False
