"""An RTP party of the tests: sends a PCMU tone at 20 ms pacing and keeps everything it receives."""

from __future__ import annotations

import secrets
import socket
import struct
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType

import numpy as np

from tests.support.audio import RATE, Samples, mulaw_decode, mulaw_encode, tone
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
PACKET = 160
"""Samples of 20 ms."""
PCMU = 0

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet (RFC 3550, section 5.1) and when it came (time.monotonic seconds)."""

    at: float
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    source: Address


class RtpPeer:
    """Socket on an even port of 127.0.0.1 whose odd neighbour (RTCP) is bound too, and stays silent.

    It sends to `remote`, or else to whoever sent the first packet. `frequency` None: sends nothing.
    """

    def __init__(
        self, frequency: float | None = None, *, remote: Address | None = None, dbfs: float = -12.0
    ) -> None:
        self._rtp, self._rtcp = _bind_pair()
        self.port: int = self._rtp.getsockname()[1]
        self.remote = remote
        self.frequency = frequency
        # One second holds a whole number of periods of any whole frequency, so the loop has no seam.
        self._payload = mulaw_encode(tone(frequency, 1.0, dbfs=dbfs)) if frequency is not None else b""
        self._packets: list[Packet] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._receive, name=f"rtp-in-{self.port}")]
        if frequency is not None:
            self._threads.append(threading.Thread(target=self._send, name=f"rtp-out-{self.port}"))
        self._running = False

    def __enter__(self) -> RtpPeer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._running = True
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends both threads; what was captured stays readable."""
        self._stopped.set()
        if self._running:
            for thread in self._threads:
                thread.join()
        self._rtp.close()
        self._rtcp.close()

    def packets(self) -> list[Packet]:
        with self._lock:
            return list(self._packets)

    def audio_packets(self) -> list[Packet]:
        """PCMU packets in the order of their timestamps, one of each."""
        unique = {(p.ssrc, p.sequence): p for p in self.packets() if p.payload_type == PCMU}
        first_heard: dict[int, float] = {}
        for packet in unique.values():
            first_heard[packet.ssrc] = min(packet.at, first_heard.get(packet.ssrc, packet.at))
        start = {s: next(p for p in unique.values() if p.ssrc == s) for s in first_heard}
        return sorted(
            unique.values(),
            key=lambda p: (first_heard[p.ssrc], _ahead(p.timestamp, start[p.ssrc].timestamp)),
        )

    def wait_for_audio(self, *, packets: int = 1, timeout: float = 10.0) -> None:
        """Until so many PCMU packets have come; raises AssertionError after `timeout` seconds."""
        wait_until(
            lambda: sum(p.payload_type == PCMU for p in self.packets()) >= packets,
            timeout,
            f"{packets} audio packets at port {self.port}",
        )

    def samples(self, *, since: float | None = None, until: float | None = None) -> Samples:
        """Decoded audio placed by RTP timestamp: what is lost or was never sent is silence.

        `since` and `until` choose packets by arrival (time.monotonic). A new SSRC follows the former's end.
        """
        chosen = [
            p
            for p in self.audio_packets()
            if (since is None or p.at >= since) and (until is None or p.at <= until)
        ]
        parts: list[Samples] = []
        for ssrc in dict.fromkeys(p.ssrc for p in chosen):
            stream = [p for p in chosen if p.ssrc == ssrc]
            origin = stream[0].timestamp
            end = max(_ahead(p.timestamp, origin) + len(p.payload) for p in stream)
            timeline = np.zeros(end, dtype=np.int16)
            for packet in stream:
                position = _ahead(packet.timestamp, origin)
                timeline[position : position + len(packet.payload)] = mulaw_decode(packet.payload)
            parts.append(timeline)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)

    def longest_arrival_gap(self, *, since: float | None = None, until: float | None = None) -> float:
        """Seconds between the two neighbouring audio packets that came furthest apart."""
        times = sorted(
            p.at
            for p in self.packets()
            if p.payload_type == PCMU
            and (since is None or p.at >= since)
            and (until is None or p.at <= until)
        )
        return max((later - former for former, later in pairwise(times)), default=0.0)

    def longest_timestamp_gap(self, *, since: float | None = None, until: float | None = None) -> float:
        """Seconds of the longest stretch of the RTP timeline that no packet covers."""
        longest = 0
        former: Packet | None = None
        for packet in self.audio_packets():
            if (since is not None and packet.at < since) or (until is not None and packet.at > until):
                continue
            if former is not None and former.ssrc == packet.ssrc:
                longest = max(longest, _ahead(packet.timestamp, former.timestamp) - len(former.payload))
            former = packet
        return longest / RATE

    def missing_sequences(self) -> int:
        """Packets that never came, by sequence number, between the first and the last of each SSRC."""
        missing = 0
        received = self.audio_packets()
        for ssrc in {p.ssrc for p in received}:
            numbers = [p.sequence for p in received if p.ssrc == ssrc]
            span = max(_signed(number - numbers[0], 16) for number in numbers)
            low = min(_signed(number - numbers[0], 16) for number in numbers)
            missing += span - low + 1 - len(set(numbers))
        return missing

    def _receive(self) -> None:
        self._rtp.settimeout(0.05)
        while not self._stopped.is_set():
            try:
                data, source = self._rtp.recvfrom(2048)
            except TimeoutError:
                continue
            except ConnectionRefusedError:  # the far side has closed its port: it hears nothing, we go on
                continue
            packet = _parse(data, source)
            if packet is None:
                continue
            with self._lock:
                self._packets.append(packet)
            if self.remote is None:
                self.remote = source

    def _send(self) -> None:
        sequence, timestamp = secrets.randbelow(1 << 16), secrets.randbelow(1 << 32)
        ssrc, position = secrets.randbelow(1 << 32), 0
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            due += PACKET / RATE
            if self.remote is not None:
                header = struct.pack("!BBHII", 0x80, PCMU, sequence, timestamp, ssrc)
                self._rtp.sendto(header + self._payload[position : position + PACKET], self.remote)
            sequence, timestamp = (sequence + 1) % (1 << 16), (timestamp + PACKET) % (1 << 32)
            position = (position + PACKET) % len(self._payload)


def _parse(data: bytes, source: Address) -> Packet | None:
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    flags, kind, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    start = 12 + 4 * (flags & 0x0F)
    return Packet(
        time.monotonic(), kind & 0x7F, bool(kind & 0x80), sequence, timestamp, ssrc, data[start:], source
    )


def _signed(difference: int, bits: int) -> int:
    """A difference of two counters that wrap, as the shorter way round."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half


def _ahead(timestamp: int, origin: int) -> int:
    return _signed(timestamp - origin, 32)


def _bind_pair() -> tuple[socket.socket, socket.socket]:
    """Sockets on a free even port and the next (RFC 3550, section 11)."""
    while True:
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind((HOST, 0))
        port = first.getsockname()[1]
        if port % 2 == 0:
            try:
                second.bind((HOST, port + 1))
            except OSError:
                pass
            else:
                return first, second
        first.close()
        second.close()
