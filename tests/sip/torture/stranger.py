"""Somebody who sends datagrams to the engine's SIP port."""

from __future__ import annotations

import secrets
import socket
import threading
from collections import Counter
from types import TracebackType
from uuid import uuid4

from dialbridge.ports import HOST
from tests.support.sip_client import SipText

SIP_PORT = 5060
"""Where the answer to a Via without a port goes (RFC 3261, section 18.2.2)."""
LARGEST = 65_507
"""Octets that one UDP datagram can carry over IPv4."""


class Stranger:
    """Sends from port 5060 of an address of its own in 127.0.0.0/8, so that answers to any Via reach it.

    Use as a context manager.
    """

    def __init__(self, engine_port: int) -> None:
        self._engine = (HOST, engine_port)
        self._socket = _bind_somewhere()
        self._socket.settimeout(0.05)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._fences: dict[str, threading.Event] = {}
        self._answers: list[SipText] = []
        self._thread = threading.Thread(target=self._receive, name="stranger")
        self.host: str = self._socket.getsockname()[0]
        self.sent = 0
        """Datagrams, without the fences."""

    def __enter__(self) -> Stranger:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def send(self, message: bytes) -> None:
        self.sent += 1
        self._socket.sendto(message[:LARGEST], self._engine)

    def fence(self, timeout: float = 10.0) -> bool:
        """Whether the engine answers an OPTIONS sent now, and so has read all that was sent before it.

        One thread of the engine reads its one SIP port in order.
        """
        call_id = uuid4().hex
        answered = self._fences[call_id] = threading.Event()
        self._socket.sendto(self.request("OPTIONS", call_id).encode(), self._engine)
        return answered.wait(timeout)

    def answers_to(self, message: bytes, timeout: float = 10.0) -> list[SipText]:
        """Send one message; the responses to it, each once, that come before the fence's.

        Raises AssertionError when the engine does not answer the fence.
        """
        with self._lock:
            self._answers.clear()
        self.send(message)
        assert self.fence(timeout), "the engine does not answer OPTIONS"
        with self._lock:
            return [a for a in dict.fromkeys(self._answers) if a.header("Call-ID").encode() in message]

    def answers(self) -> Counter[int]:
        """All responses since the start or the last `answers_to`, by status."""
        with self._lock:
            return Counter(answer.status for answer in self._answers)

    def request(self, method: str, call_id: str, *headers: str, body: str = "") -> str:
        """A proper one, outside of any dialog."""
        engine = f"{HOST}:{self._engine[1]}"
        lines = [
            f"{method} sip:dialbridge@{engine} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host};branch=z9hG4bK{uuid4().hex}",
            f"From: <sip:stranger@{self.host}>;tag={uuid4().hex[:8]}",
            f"To: <sip:dialbridge@{engine}>",
            f"Call-ID: {call_id}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:stranger@{self.host}>",
            "Max-Forwards: 70",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def _receive(self) -> None:
        while not self._stopped.is_set():
            try:
                data = self._socket.recv(65_535)
            except TimeoutError:
                continue
            message = SipText(data.decode(errors="replace"))
            if not message.status or not message.has("Call-ID"):
                continue
            if fence := self._fences.pop(message.header("Call-ID"), None):
                fence.set()
                continue
            with self._lock:
                self._answers.append(message)


def _bind_somewhere() -> socket.socket:
    while True:
        host = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            bound.bind((host, SIP_PORT))
        except OSError:
            bound.close()
        else:
            return bound
