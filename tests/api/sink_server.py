"""A client's sink: a real HTTP server that notes what it gets and answers as told."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.http_server import LocalHttpServer
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    event: dict[str, Any]
    body: bytes
    at: float
    """Monotonic seconds."""

    @property
    def state(self) -> str:
        return str(self.event["data"]["status"]["state"])


class SinkServer(LocalHttpServer):
    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: defaultdict[str, deque[int]] = defaultdict(deque)
        """Per path, the statuses of the next answers; 204 when there is none left."""
        self.bodies: defaultdict[str, deque[bytes]] = defaultdict(deque)
        """Per path, the bodies of the next answers; the last one stays; empty when there is none."""
        self.held: dict[str, threading.Event] = {}
        """Per path, no answer before this event is set."""
        self.retry_after: dict[str, str] = {}
        """Per path, the header of each answer that is no success."""
        super().__init__()

    def stop(self) -> None:
        for event in self.held.values():
            event.set()
        super().stop()

    def at(self, path: str) -> list[Received]:
        return [received for received in self.received if received.path == path]

    def wait_for(self, path: str, count: int, timeout: float = 10.0) -> list[Received]:
        wait_until(lambda: len(self.at(path)) >= count, timeout, f"{count} events at {path}")
        return self.at(path)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # http.server's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sink.received.append(Received(self.path, headers, json.loads(body), body, time.monotonic()))
                if (gate := sink.held.get(self.path)) is not None:
                    gate.wait(30)
                answers, bodies = sink.answers[self.path], sink.bodies[self.path]
                answer = (bodies.popleft() if len(bodies) > 1 else bodies[0]) if bodies else b""
                try:
                    status = answers.popleft() if answers else (200 if answer else 204)
                    self.send_response(status)
                    if status >= 300 and self.path in sink.retry_after:
                        self.send_header("Retry-After", sink.retry_after[self.path])
                    if self.path.startswith("/redirect"):
                        self.send_header("Location", f"{sink.root}/elsewhere")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True  # the notifier gave up waiting

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
