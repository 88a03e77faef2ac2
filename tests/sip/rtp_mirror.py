"""A party that sends back whatever audio it gets: so any codec can be tested without having it."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

from tests.support.rtp import Packet, read_packet
from tests.support.rtp_peer import HOST
from tests.support.waiting import wait_until


class RtpMirror:
    """Use as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._socket.settimeout(0.05)
        self.port: int = self._socket.getsockname()[1]
        self._packets: list[Packet] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mirror-{self.port}")

    def __enter__(self) -> RtpMirror:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def packets(self) -> list[Packet]:
        """All that came so far."""
        return self._packets.copy()

    def wait_for_packets(self, count: int, timeout: float = 10.0) -> None:
        wait_until(lambda: len(self._packets) >= count, timeout, f"{count} packets at {self.port}")

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                data, source = self._socket.recvfrom(2048)
            except (TimeoutError, ConnectionRefusedError):
                continue
            packet = read_packet(data, source, time.monotonic())
            if packet is not None:
                self._packets.append(packet)
                self._socket.sendto(data, source)
