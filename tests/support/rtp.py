"""RTP packets (RFC 3550) and the digits in them (RFC 4733), as the tests write and read them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from tests.support.sdp import Address

DIGITS = "0123456789*#ABCD"
"""By event code (RFC 4733, section 3.2)."""
RATE = 8000
"""RTP timestamp units per second of all that these tests send."""
END = 0x80
"""The E bit of an event's second octet (RFC 4733, section 2.3)."""


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


@dataclass(frozen=True, slots=True)
class Digit:
    """One event as it was heard, all its packets together."""

    digit: str
    duration: float
    """Milliseconds, of the longest that its packets say."""
    timestamp: int
    """Where in the RTP timeline it began."""
    ended: bool
    """Whether a packet with the E bit came."""
    at: float
    """When its first packet came (time.monotonic seconds)."""
    packets: int


def read_packet(data: bytes, source: Address, at: float) -> Packet | None:
    """None if it is not RTP."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    flags, kind, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    start = 12 + 4 * (flags & 0x0F)
    return Packet(at, kind & 0x7F, bool(kind & 0x80), sequence, timestamp, ssrc, data[start:], source)


def write_packet(
    payload_type: int, payload: bytes, *, sequence: int, timestamp: int, ssrc: int, marker: bool = False
) -> bytes:
    """The counters wrap as they must."""
    kind = payload_type | (0x80 if marker else 0)
    return struct.pack("!BBHII", 0x80, kind, sequence % (1 << 16), timestamp % (1 << 32), ssrc) + payload


def event_payloads(digit: str, duration: float, step: float, *, volume: int = 10) -> list[bytes]:
    """What an event's packets say, one for each `step` and the last one three times; milliseconds.

    RFC 4733, section 2.5.1: the duration grows, and the end is sent three times. `volume` is in -dBm0.
    """
    code, total = DIGITS.index(digit), round(duration * RATE / 1000)
    size = round(step * RATE / 1000)
    updates = [struct.pack("!BBH", code, volume, length) for length in range(size, total, size)]
    return updates + 3 * [struct.pack("!BBH", code, END | volume, total)]


def read_digits(packets: Iterable[Packet], payload_type: int) -> list[Digit]:
    """The events of one payload type, in the order of their first packets.

    An event is told from the next by its timestamp (RFC 4733, section 2.5.2).
    """
    events: dict[tuple[int, int], list[Packet]] = {}
    for packet in packets:
        if packet.payload_type == payload_type and len(packet.payload) >= 4:
            events.setdefault((packet.ssrc, packet.timestamp), []).append(packet)
    return [_digit(event) for event in events.values()]


def _digit(packets: list[Packet]) -> Digit:
    said = [struct.unpack("!BBH", packet.payload[:4]) for packet in packets]
    codes = {code for code, _, _ in said}
    assert len(codes) == 1, f"one event that is several: {codes}"
    code = codes.pop()
    return Digit(
        digit=DIGITS[code] if code < len(DIGITS) else f"event {code}",
        duration=max(length for _, _, length in said) * 1000 / RATE,
        timestamp=packets[0].timestamp,
        ended=any(flags & END for _, flags, _ in said),
        at=packets[0].at,
        packets=len(packets),
    )


def signed(difference: int, bits: int) -> int:
    """A difference of two counters that wrap, as the shorter way round."""
    half = 1 << (bits - 1)
    return (difference + half) % (1 << bits) - half


def ahead(timestamp: int, origin: int) -> int:
    """How far one timestamp is behind another in time; negative if it is before."""
    return signed(timestamp - origin, 32)


def _malformed() -> dict[str, bytes]:
    header = write_packet(0, b"", sequence=1, timestamp=160, ssrc=0xBADBAD)
    audio = bytes(160)
    return {
        "nothing": b"",
        "one octet": b"\x80",
        "half a header": header[:6],
        "a header without payload": header,
        "version 0": b"\x00" + header[1:] + audio,
        "version 1": b"\x40" + header[1:] + audio,
        "version 3": b"\xc0" + header[1:] + audio,
        "fifteen contributing sources that are not there": b"\x8f" + header[1:],
        "an extension that is not there": b"\x90" + header[1:],
        "an extension longer than the packet": b"\x90"
        + header[1:]
        + struct.pack("!HH", 0xBEDE, 0xFFFF)
        + audio,
        "padding longer than the packet": b"\xa0" + header[1:] + audio[:-1] + b"\xff",
        "padding of nothing": b"\xa0" + header[1:] + audio,
        "a payload type nobody named": header[:1] + b"\x7f" + header[2:] + audio,
        "RTCP on the RTP port": struct.pack("!BBHI", 0x81, 200, 0xFFFF, 1),
        "an event cut short": header[:1] + b"\x65" + header[2:] + b"\x01",
        "an event of code 255": header[:1] + b"\xe5" + header[2:] + struct.pack("!BBH", 255, 10, 160),
        "an empty event": header[:1] + b"\xe5" + header[2:],
        "comfort noise without a level": header[:1] + b"\x0d" + header[2:],
        "more than a frame": header + bytes(60_000),
        "SIP on the RTP port": b"OPTIONS sip:nobody SIP/2.0\r\n\r\n",
        "STUN (RFC 8489)": struct.pack("!HHI", 1, 0xFFFF, 0x2112A442) + bytes(12),
    }


MALFORMED = _malformed()
"""Datagrams that no RTP receiver may stumble over, by what is wrong with them."""
