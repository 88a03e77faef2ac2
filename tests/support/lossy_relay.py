"""Carries IP packets between two TUN devices and mistreats UDP: loses some, delays each by a random time.

Run by `tests.support.lossy_path` as a process of its own, so that the tests' threads do not slow it down. It
ends when its standard input does, and so with the test that started it.
"""

from __future__ import annotations

import heapq
import mmap
import os
import random
import selectors
import struct
import sys
import time
from itertools import count

UDP = 17
COUNTERS = struct.Struct("=4Q")
"""UDP packets sent and lost from the first device to the second, and the other way."""


def relay(first: int, second: int, counters: int, *, loss: float, jitter: float, seed: int) -> None:
    """Until standard input ends. `loss` is 0..1, `jitter` at most so many seconds, the rest are files."""
    shared = mmap.mmap(counters, COUNTERS.size)
    numbers = [0, 0, 0, 0]
    chance = random.Random(seed)  # noqa: S311 - the same losses each time, if the traffic is the same
    order = count()
    on_the_way: list[tuple[float, int, int, bytes]] = []
    selector = selectors.DefaultSelector()
    for source, target, counter in ((first, second, 0), (second, first, 2)):
        os.set_blocking(source, False)
        selector.register(source, selectors.EVENT_READ, (target, counter))
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ, None)
    while True:
        wait = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
        for key, _ in selector.select(wait):
            if key.data is None:
                return
            target, counter = key.data
            packet = os.read(key.fd, 65536)
            due = time.monotonic()
            if packet[9] == UDP:
                lost = chance.random() < loss
                numbers[counter] += 1
                numbers[counter + 1] += lost
                shared[:] = COUNTERS.pack(*numbers)
                if lost:
                    continue
                due += chance.uniform(0, jitter)
            heapq.heappush(on_the_way, (due, next(order), target, packet))
        while on_the_way and on_the_way[0][0] <= time.monotonic():
            _, _, target, packet = heapq.heappop(on_the_way)
            os.write(target, packet)


if __name__ == "__main__":
    files = [int(number) for number in sys.argv[1:4]]
    relay(*files, loss=float(sys.argv[4]), jitter=float(sys.argv[5]), seed=int(sys.argv[6]))
