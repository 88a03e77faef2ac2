"""The media of the lab's phone 23: silence, and the digits 1 2 3 4 # as RFC 4733 events.

SIPp sends events through raw sockets only, which ask for root. `python -m dialbridge.digits_phone HOST PORTS`
listens on one UDP port for each dynamic payload type: PORTS followed by the type's last two digits. So it
knows by the port under which number the other side wants its events: that of its own SDP (RFC 3264, section
5.1). Where to send them, it learns from the first RTP packet.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

DIGITS = "1234#"
EVENT_CODES = "0123456789*#"
"""RFC 4733, section 3.2."""
DYNAMIC_TYPES = range(96, 128)
"""RFC 3551, section 6."""
PCMU, SILENCE = 0, b"\xff"
PACKET = 160
"""RTP timestamp units of 20 ms."""
PTIME = 0.02
START, LENGTH, GAP = 50, 5, 5
"""Packets: before the first digit, of a digit, and between two."""
END, VOLUME = 0x80, 10
"""Of an event's second octet (RFC 4733, section 2.3); the volume is in -dBm0."""
GONE_AFTER = 5.0
"""Seconds without a packet, after which the other side is no longer there."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is sent in one packet; `began` is the frame an event began with, None for audio."""

    payload: bytes
    began: int | None = None


def frames(digits: str = DIGITS) -> Iterator[list[Frame]]:
    """What is sent every 20 ms, for ever.

    RFC 4733, section 2.5.1: the duration grows, and the end is sent three times; the last two beside audio.
    """
    audio = Frame(SILENCE * PACKET)
    yield from ([audio] for _ in range(START))
    for i, digit in enumerate(digits):
        began = START + i * (LENGTH + GAP)
        for n in range(1, LENGTH + 1):
            yield [_event(digit, began, n)]
        for n in range(GAP):
            yield [audio, _event(digit, began, LENGTH)] if n < 2 else [audio]
    while True:
        yield [audio]


def _event(digit: str, began: int, length: int) -> Frame:
    flags = VOLUME | (END if length == LENGTH else 0)
    return Frame(struct.pack("!BBH", EVENT_CODES.index(digit), flags, length * PACKET), began)


@dataclass
class Party:
    """Who hears us, and our stream to it (RFC 3550, section 5.1). Times by time.monotonic."""

    address: tuple[str, int]
    digits_type: int
    heard_at: float
    due: float
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    sequence: Iterator[int] = field(default_factory=lambda: count(secrets.randbits(16)))
    origin: int = field(default_factory=lambda: secrets.randbits(32))
    frames: Iterator[tuple[int, list[Frame]]] = field(default_factory=lambda: enumerate(frames()))

    def packets(self) -> Iterator[bytes]:
        """The next 20 ms."""
        self.due += PTIME
        number, sent = next(self.frames)
        for frame in sent:
            began = number if frame.began is None else frame.began
            kind = PCMU if frame.began is None else self.digits_type
            marker = 0x80 if number in (0, frame.began) else 0
            header = struct.pack(
                "!BBHII",
                0x80,
                marker | kind,
                next(self.sequence) % (1 << 16),
                (self.origin + PACKET * began) % (1 << 32),
                self.ssrc,
            )
            yield header + frame.payload


def serve(host: str, ports: str) -> None:
    """Until the process ends. Raises OSError if a port is taken."""
    listeners = {kind: _listen(host, port_of(ports, kind)) for kind in DYNAMIC_TYPES}
    selector = selectors.DefaultSelector()
    for kind, listener in listeners.items():
        selector.register(listener, selectors.EVENT_READ, kind)
    parties: dict[tuple[int, tuple[str, int]], Party] = {}
    while True:
        due = min((party.due for party in parties.values()), default=None)
        ready = selector.select(None if due is None else max(0.0, due - time.monotonic()))
        now = time.monotonic()
        for kind in (key.data for key, _ in ready):
            data, address = listeners[kind].recvfrom(2048)
            if is_rtp(data) and (kind, address) not in parties:
                parties[kind, address] = Party(address, kind, now, now)
            elif is_rtp(data):
                parties[kind, address].heard_at = now
        for name, party in list(parties.items()):
            if party.heard_at < now - GONE_AFTER:
                del parties[name]
            elif party.due <= now:
                for packet in party.packets():
                    listeners[party.digits_type].sendto(packet, party.address)


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((host, port))
    return listener


def is_rtp(data: bytes) -> bool:
    """And not the RTCP of the neighbouring port (RFC 5761, section 4)."""
    return len(data) >= 12 and data[0] >> 6 == 2 and not 192 <= data[1] <= 223


def port_of(ports: str, digits_type: int) -> int:
    """Where events of a payload type come from."""
    return int(f"{ports}{digits_type % 100:02}")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
