"""A sink of the tests: a real HTTP server that records every delivery and answers as told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Any

from tests.support.waiting import wait_until

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST to the sink: when it came (time.monotonic), its headers (names in lower case), its event."""

    at: float
    path: str
    headers: dict[str, str]
    event: dict[str, Any]
    answered: int
    """The status this delivery was answered with."""

    @property
    def call_id(self) -> str:
        return str(self.event["data"]["callId"])

    @property
    def state(self) -> str:
        return str(self.event["data"]["status"]["state"])


class Sink:
    """Answers 204, or what `answer` says of a delivery's event; while `open` is not set, nothing at all."""

    def __init__(self, answer: Callable[[dict[str, Any]], int] = lambda _: 204) -> None:
        self.answer = answer
        self.open = Event()
        self.open.set()
        self._deliveries: list[Delivery] = []
        self._lock = Lock()
        self._server = ThreadingHTTPServer((HOST, 0), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sink")
        self.url = f"http://{HOST}:{self._server.server_port}/sink"

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def deliveries(self, call_id: str | None = None) -> list[Delivery]:
        """In the order of arrival, those not accepted too."""
        with self._lock:
            return [d for d in self._deliveries if call_id in (None, d.call_id)]

    def states(self, call_id: str) -> list[str]:
        """States of the accepted deliveries of a call."""
        return [d.state for d in self.deliveries(call_id) if d.answered < 300]

    def wait_for(self, call_id: str, state: str, timeout: float = 15.0) -> Delivery:
        """The accepted delivery of a state; raises AssertionError with what came instead."""
        try:
            wait_until(lambda: state in self.states(call_id), timeout)
        except AssertionError:
            raise AssertionError(f"no event {state} within {timeout} s, but {self.states(call_id)}") from None
        return next(d for d in self.deliveries(call_id) if d.state == state and d.answered < 300)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                at = monotonic()
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                sink.open.wait()
                status = sink.answer(event)
                with sink._lock:
                    sink._deliveries.append(Delivery(at, self.path, headers, event, status))
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    self.close_connection = True  # the notifier gave up waiting, or was killed

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
