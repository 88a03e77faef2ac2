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
                answers = sink.answers[self.path]
                try:
                    status = answers.popleft() if answers else 204
                    self.send_response(status)
                    if status >= 300 and self.path in sink.retry_after:
                        self.send_header("Retry-After", sink.retry_after[self.path])
                    if self.path.startswith("/redirect"):
                        self.send_header("Location", f"{sink.root}/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    self.close_connection = True  # the notifier gave up waiting

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
