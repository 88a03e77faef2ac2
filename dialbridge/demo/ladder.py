"""The SIP messages of both legs as a ladder: caller phone, engine, callee phone, and the sink beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from state.sip_trace import SipMessage

LANE = 26
"""Characters between two vertical lines."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    line: str
    shaft: str
    left: str
    right: str
    dot: str


UNICODE = Glyphs("│", "─", "◀", "▶", "●")
ASCII = Glyphs("|", "-", "<", ">", "*")


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rows as text; times are seconds since `origin`."""

    origin: datetime
    glyphs: Glyphs

    def heading(self) -> str:
        parties = f"{'caller phone':<{LANE}}{'engine':^3}{'callee phone':>{LANE - 3}}"
        return f"{'time':>8}  {parties}   sink"

    def message(self, message: SipMessage) -> str:
        """One SIP message as an arrow on its leg's side."""
        from_engine = message.direction == "sent"
        leftwards = from_engine == (message.leg == "caller")
        arrow = self._arrow(label(message), leftwards=leftwards)
        return (
            self._row(message.at, arrow, "") if message.leg == "caller" else self._row(message.at, "", arrow)
        )

    def event(self, at: datetime, text: str) -> str:
        """Something that reached the sink."""
        return f"{self._row(at, '', '')}  {self.glyphs.dot} {text}"

    def _row(self, at: datetime, caller: str, callee: str) -> str:
        line = self.glyphs.line
        seconds = (at - self.origin).total_seconds()
        return f"{seconds:8.3f}  {line}{caller:{LANE}}{line}{callee:{LANE}}{line}"

    def _arrow(self, text: str, *, leftwards: bool) -> str:
        body = f" {text[: LANE - 6]} ".center(LANE - 1, self.glyphs.shaft)
        return f"{self.glyphs.left}{body}" if leftwards else f"{body}{self.glyphs.right}"


def label(message: SipMessage) -> str:
    """What an arrow is labelled with: the method, or the status and the method it answers."""
    words = message.start_line.split(" ", 2)
    if words[0] == "SIP/2.0":
        status = " ".join(words[1:])
        method = cseq_method(message)
        return status if method == "INVITE" else f"{status} ({method})"
    return f"{words[0]} (SDP)" if "\r\nm=audio" in message.text else words[0]


def cseq_method(message: SipMessage) -> str:
    """The method of the message's transaction (RFC 3261, section 8.1.1.5)."""
    return header(message, "CSeq").rpartition(" ")[2]


def header(message: SipMessage, name: str) -> str:
    """A header's first value, '' if it is absent."""
    for line in message.text.partition("\r\n\r\n")[0].split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.strip().lower() == name.lower():
            return value.strip()
    return ""
