"""The enterprise's sink: a real HTTP server that takes the CloudEvents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from dialbridge.ports import HOST


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    at: datetime
    content_type: str
    authorization: str
    body: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        data = self.body.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def state(self) -> str:
        status = self.data.get("status")
        return str(status.get("state")) if isinstance(status, dict) else "?"


class Sink:
    """Listens on a free port until `close`."""

    def __init__(self) -> None:
        self._events: SimpleQueue[ReceivedEvent] = SimpleQueue()
        events = self._events

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    event = json.loads(body)
                except ValueError:
                    event = None
                if not isinstance(event, dict):
                    self.send_error(400)
                    return
                events.put(
                    ReceivedEvent(
                        datetime.now(UTC),
                        self.headers.get("Content-Type", ""),
                        self.headers.get("Authorization", ""),
                        event,
                    )
                )
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the events themselves are shown."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="sink")
        self._thread.start()
        self.url = f"http://{HOST}:{self._server.server_port}/events"

    def new_events(self) -> list[ReceivedEvent]:
        """What has arrived since the last time."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except Empty:
                return events

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
