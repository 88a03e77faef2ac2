"""`python -m bench.delivery_bare REDIS_URL LIST`: the least that can carry events from Redis to sinks.

Takes {"port", "body"} from a list and posts the body over kept connections: no order, no lease, no
repetition, no signature, no log. What the notifier costs is quoted as a multiple of this.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict, deque

import uvloop

from bench.delivery_sinks import BARE_PATH
from state.connection import connect

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class BareClient:
    def __init__(self) -> None:
        self._free: defaultdict[int, deque[Connection]] = defaultdict(deque)

    async def post(self, port: int, body: bytes) -> None:
        free = self._free[port]
        reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {BARE_PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readuntil(b"\r\n\r\n")
        free.append((reader, writer))


async def carry(redis_url: str, name: str) -> None:
    """Until an empty item; a failed post ends it."""
    client = BareClient()
    async with connect(redis_url) as redis, asyncio.TaskGroup() as posts:
        print(flush=True)  # ready
        while (popped := await redis.blpop([name])) is not None and (item := popped[1]) != "":
            what = json.loads(item)
            posts.create_task(client.post(what["port"], what["body"].encode()))


if __name__ == "__main__":
    uvloop.run(carry(*sys.argv[1:3]))
