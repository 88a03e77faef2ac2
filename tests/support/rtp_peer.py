"""An RTP party of the tests: sends a G.711 tone and RFC 4733 digits, and keeps everything it receives."""

from __future__ import annotations

import random
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType

import numpy as np

from dialbridge.ports import HOST
from tests.support.audio import RATE, Samples, alaw_decode, alaw_encode, mulaw_decode, mulaw_encode, tone
from tests.support.rtp import (
    Digit,
    Packet,
    ahead,
    event_payloads,
    read_digits,
    read_packet,
    signed,
    write_packet,
)
from tests.support.sdp import Address
from tests.support.waiting import wait_until

__all__ = ["COMFORT_NOISE", "DIGITS_TYPE", "HOST", "PCMA", "PCMU", "Packet", "RtpPeer"]

PCMU, PCMA, COMFORT_NOISE = 0, 8, 13
"""Payload types (RFC 3551, table 4)."""
DIGITS_TYPE = 101
"""What most phones call telephone-event; an SDP may say otherwise."""

_ENCODERS: dict[int, Callable[[Samples], bytes]] = {PCMU: mulaw_encode, PCMA: alaw_encode}
_DECODERS: dict[int, Callable[[bytes], Samples]] = {PCMU: mulaw_decode, PCMA: alaw_decode}


@dataclass(frozen=True, slots=True)
class _Step:
    """What is sent at one tick instead of audio; no payloads: a pause between two digits, filled by audio."""

    payloads: Sequence[bytes]
    payload_type: int
    begins: bool = False


class RtpPeer:
    """Socket on an even port whose odd neighbour (RTCP) is bound too, and stays silent.

    It sends to `remote`, or else to whoever sent the first packet. `frequency` None: sends no audio.
    `remote`, `codec` (PCMU or PCMA) and `ptime` (milliseconds: 10, 20, 30, 40) may be changed at any time.
    `loss` (0..1) and `jitter` (milliseconds) spoil what it sends, the same way in each run of one `seed`.
    """

    def __init__(
        self,
        frequency: float | None = None,
        *,
        remote: Address | None = None,
        dbfs: float = -12.0,
        host: str = HOST,
        codec: int = PCMU,
        ptime: int = 20,
        loss: float = 0.0,
        jitter: float = 0.0,
        seed: int = 1,
        encoded: Mapping[int, bytes] | None = None,
    ) -> None:
        """`encoded`: one second of audio in further codecs of 8000 octets a second, by payload type."""
        self._rtp, self._rtcp = _bind_pair(host)
        self.host = host
        self.port: int = self._rtp.getsockname()[1]
        self.remote = remote
        self.frequency = frequency
        self.codec = codec
        self.ptime = ptime
        self.loss = loss
        self.jitter = jitter
        self.sent = 0
        """RTP packets that left."""
        # One second holds a whole number of periods of any whole frequency, so the loop has no seam.
        second = tone(frequency, 1.0, dbfs=dbfs) if frequency is not None else None
        self._audio = (
            {kind: encode(second) for kind, encode in _ENCODERS.items()} if second is not None else {}
        )
        self._audio.update(encoded or {})
        self._random = random.Random(seed)  # noqa: S311 - a test that fails must fail again
        self._paused = False
        self._talkspurt = True
        self._steps: deque[_Step] = deque()
        self._ssrc, self._sequence = secrets.randbelow(1 << 32), secrets.randbelow(1 << 16)
        self._first_timestamp, self._elapsed, self._event_start = secrets.randbelow(1 << 32), 0, 0
        self._packets: list[Packet] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._receive, name=f"rtp-in-{self.port}"),
            threading.Thread(target=self._send, name=f"rtp-out-{self.port}"),
        ]
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

    # What it sends

    def pause(self) -> None:
        """Send nothing, digits excepted; the RTP timeline goes on."""
        self._paused = True

    def resume(self) -> None:
        """Send audio again; the marker bit says that a talkspurt begins (RFC 3551, section 4.1)."""
        self._talkspurt = True
        self._paused = False

    def send_comfort_noise(self, level: int = 60) -> None:
        """One packet of comfort noise of -`level` dBov (RFC 3389), and then silence until `resume`."""
        self._paused = True
        self._steps.append(_Step([bytes([level])], COMFORT_NOISE, begins=True))

    def send_digits(
        self,
        digits: str,
        *,
        payload_type: int = DIGITS_TYPE,
        duration: int = 60,
        interval: int = 100,
    ) -> None:
        """Digits as RFC 4733 events of `duration` ms, one every `interval` ms; returns at once.

        They share SSRC and sequence numbers with the audio, which is silent under them; what is left of the
        interval is audio. Ends that have no room before the next digit leave all at once.
        """
        ticks = max(1, round(interval / self.ptime))
        for digit in digits:
            payloads = event_payloads(digit, duration, self.ptime)
            spread = [[payload] for payload in payloads[: ticks - 1]] + [payloads[ticks - 1 :]]
            spread += [[] for _ in range(ticks - len(spread))]
            self._steps.extend(_Step(p, payload_type, begins=i == 0) for i, p in enumerate(spread))

    def wait_digits_sent(self, timeout: float = 10.0) -> None:
        wait_until(lambda: not self._steps, timeout, f"digits sent from port {self.port}")

    def send_raw(self, data: bytes, *, rtcp: bool = False) -> None:
        """Any datagram to the remote, as if it were RTP (or RTCP, at the next port)."""
        assert self.remote is not None, "whom to send it to is not known yet"
        host, port = self.remote
        (self._rtcp if rtcp else self._rtp).sendto(data, (host, port + 1 if rtcp else port))

    # What it heard

    def receive_rtcp(self, timeout: float = 10.0) -> bytes:
        """The next datagram at its RTCP port; raises TimeoutError after `timeout` seconds."""
        self._rtcp.settimeout(timeout)
        return self._rtcp.recv(2048)

    def packets(self) -> list[Packet]:
        with self._lock:
            return list(self._packets)

    def audio_packets(self) -> list[Packet]:
        """G.711 packets in the order of their timestamps, one of each."""
        unique = {(p.ssrc, p.sequence): p for p in self.packets() if p.payload_type in _DECODERS}
        first_heard: dict[int, float] = {}
        for packet in unique.values():
            first_heard[packet.ssrc] = min(packet.at, first_heard.get(packet.ssrc, packet.at))
        start = {s: next(p for p in unique.values() if p.ssrc == s) for s in first_heard}
        return sorted(
            unique.values(),
            key=lambda p: (first_heard[p.ssrc], ahead(p.timestamp, start[p.ssrc].timestamp)),
        )

    def wait_for_audio(self, *, packets: int = 1, timeout: float = 10.0) -> None:
        """Until so many G.711 packets have come; raises AssertionError after `timeout` seconds."""
        wait_until(
            lambda: sum(p.payload_type in _DECODERS for p in self.packets()) >= packets,
            timeout,
            f"{packets} audio packets at port {self.port}",
        )

    def wait_for_more_audio(self, *, packets: int, timeout: float = 10.0) -> float:
        """Until so many have come from now on; when that "now" was, for `samples(since=...)`."""
        now, heard = time.monotonic(), sum(p.payload_type in _DECODERS for p in self.packets())
        self.wait_for_audio(packets=heard + packets, timeout=timeout)
        return now

    def digits(self, payload_type: int = DIGITS_TYPE) -> list[Digit]:
        """The RFC 4733 events that came with this payload type, in order."""
        return read_digits(self.packets(), payload_type)

    def wait_for_digits(
        self, digits: str, *, payload_type: int = DIGITS_TYPE, timeout: float = 10.0
    ) -> list[Digit]:
        """Until exactly these have come and ended; raises AssertionError with what came instead."""

        def heard() -> str:
            return "".join(d.digit for d in self.digits(payload_type) if d.ended)

        with suppress(AssertionError):
            wait_until(lambda: len(heard()) >= len(digits), timeout)
        assert heard() == digits, f"digits {heard()!r} at port {self.port} instead of {digits!r}"
        return self.digits(payload_type)

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
            end = max(ahead(p.timestamp, origin) + len(p.payload) for p in stream)
            timeline = np.zeros(end, dtype=np.int16)
            for packet in stream:
                position = ahead(packet.timestamp, origin)
                decoded = _DECODERS[packet.payload_type](packet.payload)
                timeline[position : position + len(packet.payload)] = decoded
            parts.append(timeline)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)

    def longest_arrival_gap(self, *, since: float | None = None, until: float | None = None) -> float:
        """Seconds between the two neighbouring audio packets that came furthest apart."""
        times = sorted(
            p.at
            for p in self.packets()
            if p.payload_type in _DECODERS
            and (since is None or p.at >= since)
            and (until is None or p.at <= until)
        )
        return max((later - former for former, later in pairwise(times)), default=0.0)

    def longest_timestamp_gap(self, *, since: float | None = None, until: float | None = None) -> float:
        """Seconds of the longest stretch of the RTP timeline that no audio packet covers."""
        longest = 0
        former: Packet | None = None
        for packet in self.audio_packets():
            if (since is not None and packet.at < since) or (until is not None and packet.at > until):
                continue
            if former is not None and former.ssrc == packet.ssrc:
                longest = max(longest, ahead(packet.timestamp, former.timestamp) - len(former.payload))
            former = packet
        return longest / RATE

    def missing_sequences(self) -> int:
        """Packets that never came, by sequence number, between the first and the last of each SSRC."""
        missing = 0
        received = self.packets()
        for ssrc in {p.ssrc for p in received}:
            numbers = [p.sequence for p in received if p.ssrc == ssrc]
            span = max(signed(number - numbers[0], 16) for number in numbers)
            low = min(signed(number - numbers[0], 16) for number in numbers)
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
            packet = read_packet(data, source, time.monotonic())
            if packet is None:
                continue
            with self._lock:
                self._packets.append(packet)
            if self.remote is None:
                self.remote = source

    def _send(self) -> None:
        due = time.monotonic()
        while not self._stopped.wait(max(0.0, due + self._lateness() - time.monotonic())):
            due += self.ptime / 1000
            self._tick(round(RATE * self.ptime / 1000))

    def _lateness(self) -> float:
        return self._random.uniform(0, self.jitter) / 1000 if self.jitter else 0.0

    def _tick(self, size: int) -> None:
        """Send one packet's worth of time, `size` timestamp units."""
        step = self._steps[0] if self._steps and self.remote is not None else None
        if step is not None and step.payloads:
            if step.begins:
                self._event_start = self._elapsed
            for i, payload in enumerate(step.payloads):
                self._put(step.payload_type, payload, self._event_start, marker=step.begins and i == 0)
            self._talkspurt = True
        elif self._audio and not self._paused and self.remote is not None:
            audio = self._audio[self.codec]
            position = self._elapsed % len(audio)
            payload = (audio + audio)[position : position + size]
            self._put(self.codec, payload, self._elapsed, marker=self._talkspurt)
            self._talkspurt = False
        self._elapsed += size
        if step is not None:
            self._steps.popleft()

    def _put(self, payload_type: int, payload: bytes, elapsed: int, *, marker: bool) -> None:
        lost = self.loss and self._random.random() < self.loss
        if not lost and self.remote is not None:
            packet = write_packet(
                payload_type,
                payload,
                sequence=self._sequence,
                timestamp=self._first_timestamp + elapsed,
                ssrc=self._ssrc,
                marker=marker,
            )
            self._rtp.sendto(packet, self.remote)
            self.sent += 1
        self._sequence += 1


def _bind_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Sockets on a free even port and the next (RFC 3550, section 11)."""
    while True:
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind((host, 0))
        port = first.getsockname()[1]
        if port % 2 == 0:
            try:
                second.bind((host, port + 1))
            except OSError:
                pass
            else:
                return first, second
        first.close()
        second.close()
