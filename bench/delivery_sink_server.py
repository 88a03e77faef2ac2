"""`python -m bench.delivery_sink_server FILE MANNER...`: sinks that note what reaches them.

Prints their ports. For each line it reads, writes what arrived so far to the file and then an empty line to
its output; ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any, cast

import httptools
import uvloop

from bench.delivery_sinks import GONE_PATH, Manner

SLOWNESS = 5.0
FLAP_AFTER = (2.0, 3.0, 4.0)
"""Seconds that a flapping sink is up or down, by turns."""
ANSWERS = {
    status: f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\n\r\n".encode()
    for status, phrase in {204: "No Content", 410: "Gone", 503: "Service Unavailable"}.items()
}
ANSWERS[204] = b"HTTP/1.1 204 No Content\r\n\r\n"


class Sink:
    def __init__(self, number: int, manner: Manner, log: list[tuple[float, int, str, int, bytes]]) -> None:
        self.number, self.manner = number, manner
        self.is_down = False
        self._log = log
        self._taken_at: Counter[str] = Counter()

    async def flap(self) -> None:
        lengths = cycle(FLAP_AFTER)
        while True:
            await asyncio.sleep(next(lengths))
            self.is_down = not self.is_down

    def take(self, path: str, body: bytes) -> int | None:
        """The status to answer; 0: cut the connection, None: no answer."""
        if self.manner is Manner.SILENT:
            return None
        if self.is_down:
            status = 503 if self.manner is Manner.OVERLOADED else 0
        elif path.startswith(GONE_PATH) and self._taken_at[path]:
            status = 410
        else:
            status = 204
            self._taken_at[path] += 1
        self._log.append((monotonic(), self.number, path, status, body))
        return status


class Connection(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)
        self._path, self._body = "", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._path, self._body = "", b""

    def on_url(self, url: bytes) -> None:
        self._path += url.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._sink.take(self._path, self._body)
        if status is None:
            return
        if status == 0:
            self._transport.abort()
        elif self._sink.manner is Manner.SLOW:
            asyncio.get_running_loop().call_later(SLOWNESS, self._respond, status)
        else:
            self._respond(status)

    def _respond(self, status: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWERS[status])


async def serve(log_file: Path, manners: list[Manner]) -> None:
    loop = asyncio.get_running_loop()
    log: list[tuple[float, int, str, int, bytes]] = []
    ports, kept, flapping = [], [], []
    for number, manner in enumerate(manners):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        ports.append(listener.getsockname()[1])
        if manner is Manner.REFUSING:
            kept.append(
                listener
            )  # bound and not listening: connections are refused, and nobody gets the port
            continue
        sink = Sink(number, manner, log)
        await loop.create_server(lambda sink=sink: Connection(sink), sock=listener)  # type: ignore[misc]
        if manner in (Manner.OVERLOADED, Manner.CUTTING):
            flapping.append(asyncio.create_task(sink.flap()))
    print(json.dumps(ports), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while await commands.readline():
        with log_file.open("a") as file:
            file.writelines(_as_line(*entry) for entry in log)
        log.clear()
        print(flush=True)
    for task in flapping:
        task.cancel()
    for listener in kept:
        listener.close()


def _as_line(at: float, sink: int, path: str, status: int, body: bytes) -> str:
    entry: dict[str, Any] = {"at": at, "sink": sink, "path": path, "status": status}
    return json.dumps(entry | {"event": json.loads(body)}) + "\n"


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), [Manner(manner) for manner in sys.argv[2:]]))
