"""Session descriptions (RFC 8866) of one audio stream: how the tests' phones offer, answer and read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from dialbridge.ports import HOST

Address = tuple[str, int]
NO_ADDRESS = "0.0.0.0"  # noqa: S104 - the old way to hold (RFC 3264, section 8.4)


class Direction(StrEnum):
    """RFC 8866, section 6.7."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type of the m= line, with its a=rtpmap and a=fmtp."""

    payload_type: int
    encoding: str
    clock_rate: int = 8000
    channels: int = 1
    parameters: str = ""
    """Of the a=fmtp; none: no such line."""

    @property
    def lines(self) -> list[str]:
        channels = f"/{self.channels}" if self.channels > 1 else ""
        mapped = f"a=rtpmap:{self.payload_type} {self.encoding}/{self.clock_rate}{channels}"
        return [mapped, *([f"a=fmtp:{self.payload_type} {self.parameters}"] if self.parameters else [])]


PCMU = Format(0, "PCMU")
GSM = Format(3, "GSM")
PCMA = Format(8, "PCMA")
G722 = Format(9, "G722")  # its clock rate is 8000 by an old mistake: RFC 3551, section 4.5.2
CN = Format(13, "CN")
G729 = Format(18, "G729")
OPUS = Format(98, "opus", 48000, 2)  # RFC 7587, section 7: always 48000/2
AMR = Format(99, "AMR", parameters="octet-align=1")
_OWN = ("rtpmap:", "fmtp:", "ptime:", *Direction)
"""Attributes that have a field."""
_STATIC = {f.payload_type: f for f in (PCMU, GSM, PCMA, G722, CN, G729)}


def telephone_event(payload_type: int = 101) -> Format:
    """RFC 4733: the sixteen digits."""
    return Format(payload_type, "telephone-event", parameters="0-15")


@dataclass(frozen=True, slots=True)
class Sdp:
    """One audio stream. `dataclasses.replace` makes the next description of a session."""

    port: int
    formats: tuple[Format, ...] = (PCMU,)
    direction: Direction = Direction.SENDRECV
    host: str = HOST
    """Of the c= line."""
    ptime: int | None = 20
    """Milliseconds."""
    session_id: int = 1
    version: int = 1
    """Of the o= line; one more for each description that differs from the former (RFC 3264, section 8)."""
    attributes: tuple[str, ...] = ()
    """Further a= lines of the stream, without `a=`."""

    @property
    def text(self) -> str:
        types = " ".join(str(f.payload_type) for f in self.formats)
        lines = [
            "v=0",
            f"o=- {self.session_id} {self.version} IN IP4 {HOST}",
            "s=-",
            f"c=IN IP4 {self.host}",
            "t=0 0",
            f"m=audio {self.port} RTP/AVP {types}",
            *(line for f in self.formats for line in f.lines),
            *([f"a=ptime:{self.ptime}"] if self.ptime else []),
            f"a={self.direction}",
            *(f"a={attribute}" for attribute in self.attributes),
        ]
        return "".join(f"{line}\r\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The first audio stream; raises ValueError if there is none.

        What the stream does not say itself, the session level says for it (RFC 8866, section 5).
        """
        session, *streams = text.replace("\r\n", "\n").split("\nm=")
        stream = next((s for s in streams if s.startswith("audio ")), None)
        if stream is None:
            raise ValueError(f"no audio stream in {text!r}")
        media, *own = stream.strip().split("\n")
        lines = [*own, *session.split("\n")]
        _, port, _, *types = media.split()
        origin = next(line for line in lines if line.startswith("o=")).split()
        connection = next(line for line in lines if line.startswith("c="))
        named = [line.removeprefix("a=") for line in lines if line.startswith("a=")]
        values = {name: value for name, _, value in (a.partition(":") for a in reversed(named)) if value}
        return cls(
            port=int(port),
            formats=tuple(_format(int(kind), named) for kind in types),
            direction=next((Direction(a) for a in named if a in set(Direction)), Direction.SENDRECV),
            host=connection.split()[-1],
            ptime=int(values["ptime"]) if "ptime" in values else None,
            session_id=int(origin[1]),
            version=int(origin[2]),
            attributes=tuple(
                a for a in named if not a.startswith(("rtpmap:", "fmtp:", "ptime:", *Direction))
            ),
        )

    @property
    def address(self) -> Address:
        """Where its RTP goes."""
        return self.host, self.port

    @property
    def encodings(self) -> list[str]:
        """In the order offered, telephone-event included."""
        return [f.encoding for f in self.formats]

    def payload_type(self, encoding: str) -> int:
        """The number of an encoding, however it is spelt; raises KeyError if it is not there."""
        for known in self.formats:
            if known.encoding.lower() == encoding.lower():
                return known.payload_type
        raise KeyError(encoding)


def _format(payload_type: int, attributes: list[str]) -> Format:
    def value(name: str) -> str:
        start = f"{name}:{payload_type} "
        return next((a.removeprefix(start) for a in attributes if a.startswith(start)), "")

    known = _STATIC.get(payload_type, Format(payload_type, ""))
    encoding, *rest = (value("rtpmap") or f"{known.encoding}/{known.clock_rate}").split("/")
    return Format(payload_type, encoding, int(rest[0]), int(rest[1]) if len(rest) > 1 else 1, value("fmtp"))
