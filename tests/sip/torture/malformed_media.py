"""RTP and RTCP (RFC 3550) that nobody should send, and who sends it."""

from __future__ import annotations

import secrets
import socket
import struct
from random import Random
from types import TracebackType

from tests.support.rtp import END, MALFORMED, write_packet
from tests.support.sdp import Address

CNAME = b"\x01\x04evil\x00\x00"
SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, BYE, APPLICATION, FEEDBACK, EXTENDED = (
    200,
    201,
    202,
    203,
    204,
    205,
    207,
)
"""RTCP packet types (RFC 3550, section 12.1; RFC 4585, section 6.1; RFC 3611, section 2)."""


def _rtcp(kind: int, body: bytes, *, count: int = 1, words: int | None = None, flags: int = 0x80) -> bytes:
    """`words`: the length that it claims, in 32-bit words without the first; its own unless given."""
    claimed = len(body) // 4 if words is None else words
    return struct.pack("!BBH", flags | count, kind, claimed) + body


def _malformed_rtcp() -> dict[str, bytes]:
    block = struct.pack("!IIIIII", 1, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    report = struct.pack("!IIIIII", 1, 0xFFFFFFFF, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF)
    return {
        "nothing": b"",
        "one octet": b"\x81",
        "half a header": b"\x81\xc8",
        "a sender report of nothing": _rtcp(SENDER_REPORT, b""),
        "a sender report cut short": _rtcp(SENDER_REPORT, report[:10]),
        "a sender report longer than the packet": _rtcp(SENDER_REPORT, report, words=0xFFFF),
        "thirty-one blocks that are not there": _rtcp(SENDER_REPORT, report, count=31),
        "a receiver report of nothing": _rtcp(RECEIVER_REPORT, b""),
        "a receiver report that lies": _rtcp(RECEIVER_REPORT, b"\0\0\0\1" + block),
        "a receiver report cut short": _rtcp(RECEIVER_REPORT, b"\0\0\0\1" + block[:7]),
        "version 0": _rtcp(SENDER_REPORT, report, flags=0),
        "version 3": _rtcp(SENDER_REPORT, report, flags=0xC0),
        "padding longer than the packet": _rtcp(SENDER_REPORT, report + b"\xff\xff\xff\xff", flags=0xA0),
        "a length of zero, for ever": _rtcp(DESCRIPTION, b"") * 100,
        "a description without an end": _rtcp(DESCRIPTION, b"\0\0\0\1\x01\xffabcdef"),
        "a description of nothing": _rtcp(DESCRIPTION, b"", count=31),
        "thirty-one descriptions": _rtcp(DESCRIPTION, (b"\0\0\0\1" + CNAME) * 3, count=31),
        "a goodbye": _rtcp(BYE, b"\0\0\0\1"),
        "a goodbye to thirty-one": _rtcp(BYE, b"", count=31),
        "a goodbye with a reason too long": _rtcp(BYE, b"\0\0\0\1\xffabc"),
        "an application's": _rtcp(APPLICATION, b"\0\0\0\1evil" + bytes(400)),
        "feedback of nothing": _rtcp(FEEDBACK, b""),
        "feedback cut short": _rtcp(FEEDBACK, b"\0\0\0\1\0\0"),
        "an extended report of nothing": _rtcp(EXTENDED, b"\0\0\0\1"),
        "an extended report longer than the packet": _rtcp(EXTENDED, b"\0\0\0\1\x04\0\xff\xff" + bytes(8)),
        "an unknown type": _rtcp(255, bytes(40)),
        "RTP on the RTCP port": write_packet(0, bytes(160), sequence=1, timestamp=160, ssrc=1),
        "more than a frame": _rtcp(SENDER_REPORT, report) + bytes(60_000),
        "a hundred reports": _rtcp(RECEIVER_REPORT, b"\0\0\0\1" + block) * 100,
    }


MALFORMED_RTCP = _malformed_rtcp()
"""By what is wrong with them."""


class MediaNoise:
    """Endless RTP and RTCP that is wrong, the same in each run of one seed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def rtp(self) -> bytes:
        """Wrong, or right but for its header's numbers; never a packet of the stream that is under way."""
        random = self._random
        match random.randrange(8):
            case 0 | 1 | 2:
                return random.choice(list(MALFORMED.values()))
            case 3:
                return self._audio(payload_type=0)
            case 4:
                return self._audio(payload_type=random.randrange(128))
            case 5:
                return self._event()
            case 6:
                return bytes([random.randrange(0x80, 0xC0)]) + random.randbytes(random.randrange(200))
            case _:
                return random.randbytes(random.randrange(1, 1500))

    def rtcp(self) -> bytes:
        random = self._random
        match random.randrange(4):
            case 0 | 1:
                return random.choice(list(MALFORMED_RTCP.values()))
            case 2:
                parts = random.choices(list(MALFORMED_RTCP.values()), k=random.randint(2, 5))
                return b"".join(parts)[:60_000]
            case _:
                kind = random.randrange(192, 224)
                return bytes([0x80 | random.randrange(64), kind]) + random.randbytes(random.randrange(200))

    def _audio(self, payload_type: int) -> bytes:
        random = self._random
        return write_packet(
            payload_type,
            random.randbytes(random.choice((0, 1, 79, 80, 159, 160, 161, 320, 480, 1400))),
            sequence=random.getrandbits(16),
            timestamp=random.getrandbits(32),
            ssrc=random.getrandbits(32),
            marker=random.random() < 0.5,
        )

    def _event(self) -> bytes:
        """RFC 4733 with a code that means nothing, a wrong length, or a duration without end."""
        random = self._random
        octets = bytes([random.choice((16, 17, 36, 255)), random.choice((0, END)) | 10])
        payload = octets + struct.pack("!H", random.choice((0, 1, 0xFFFF)))
        return write_packet(
            101,
            random.choice((payload, payload[: random.randrange(4)], payload * 40)),
            sequence=random.getrandbits(16),
            timestamp=random.getrandbits(32),
            ssrc=random.getrandbits(32),
        )


class MediaStranger:
    """A socket at an address in 127.0.0.0/8 that no party has. Use as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((f"127.{1 + secrets.randbelow(254)}.1.{1 + secrets.randbelow(254)}", 0))
        self._socket.setblocking(False)
        self.sent = 0

    def __enter__(self) -> MediaStranger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes, to: Address, *, rtcp: bool = False) -> None:
        host, port = to
        self._socket.sendto(data, (host, port + 1 if rtcp else port))
        self.sent += 1

    def received(self) -> int:
        """Datagrams that have come to this address since the last time: there should be none."""
        count = 0
        while True:
            try:
                self._socket.recv(2048)
            except BlockingIOError:
                return count
            count += 1
