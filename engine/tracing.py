"""PJSIP's log: warnings go to our log, SIP messages to their calls' traces."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from typing import Literal

import pjsua2 as pj
import structlog

from engine.log_limit import LogLimit
from engine.signals import Leg
from engine.sip_messages import sip_call_id, without_digits
from state.call import utc_now
from state.sip_trace import SipMessage

log = structlog.get_logger("pjsip")

_MESSAGE = re.compile(
    # A message longer than pjlib's line buffer has lost its end.
    r"(?P<way>[TR]X) \d+ bytes (?:Request|Response) msg [^\n]*?:\r?\n(?P<text>.*?)(?:\n--end msg--|\Z)",
    re.S,
)
_NUMBER = re.compile(r"\+\d{5,15}|\d{7,15}")
_DIGITS = re.compile(r"(?<=DTMF )((?:digit )?(?:id )?)[0-9A-DR*#]+(?![\w])", re.IGNORECASE)
"""As in `sending DTMF 5`, `Received DTMF digit 5`, `Sending DTMF digit id 5`."""
LINGER = 32.0
"""Seconds in which a BYE may be answered (RFC 3261, timer F)."""
MESSAGE_LEVEL = 4
"""PJSIP logs SIP messages at this level."""
_KIND = re.compile(r"[^\d'<]{0,40}")
"""What PJSIP's complaints of one kind begin with: `Dropping 472 bytes packet`, `Error parsing 'x'`."""


class PjLog(pj.LogWriter):  # type: ignore[misc]
    """Runs on the PJ thread (`mainThreadOnly`)."""

    def __init__(
        self, level: int, publish: Callable[[SipMessage], None] | None, *, with_digits: bool = False
    ) -> None:
        """`level`: PJSIP's verbosity in our log; `publish`: takes each message of a known call.

        `with_digits`: what is published tells the digits of INFO requests.
        """
        super().__init__()
        self._level = level
        self._publish = publish
        self._with_digits = with_digits
        self._legs: dict[str, tuple[str, Leg]] = {}
        self._ended: dict[str, float] = {}
        """When to forget the legs that have ended, in that order."""
        self._limit = LogLimit()

    def watch(self, sip_call_id: str, call_id: str, leg: Leg) -> None:
        """Messages with this SIP Call-ID belong to this leg."""
        self._legs[sip_call_id] = (call_id, leg)

    def unwatch(self, sip_call_id: str) -> None:
        """The leg has ended; pjsua says so when our BYE leaves, so its answer is still waited for."""
        now = monotonic()
        self._ended[sip_call_id] = now + LINGER
        while (oldest := next(iter(self._ended))) and self._ended[oldest] <= now:
            del self._ended[oldest]
            self._legs.pop(oldest, None)

    def close(self) -> None:
        """Trace no more: PJSIP still speaks while it shuts down, when nobody takes its messages."""
        self._publish = None

    def write(self, entry: pj.LogEntry) -> None:
        text = _readable(entry.msg)
        if self._publish is not None and entry.level == MESSAGE_LEVEL and (found := _MESSAGE.search(text)):
            self._trace(self._publish, "sent" if found["way"] == "TX" else "received", found["text"])
            return
        if entry.level <= self._level:
            self._log(entry.level, text.strip())

    def _log(self, level: int, text: str) -> None:
        # PJSIP: 1 error, 2 warning, 3 to 6 ever more detail.
        record = {1: log.error, 2: log.warning}.get(level)
        if record is None:
            log.debug("pjsip", detail=_masked(text))
            return
        kind = _KIND.match(text)
        left_out = self._limit.take(kind[0] if kind else "", monotonic())
        if left_out is not None:
            record("pjsip", detail=_masked(text), **({"left_out": left_out} if left_out else {}))

    def _trace(
        self, publish: Callable[[SipMessage], None], direction: Literal["sent", "received"], text: str
    ) -> None:
        key = sip_call_id(text)
        if key and (owner := self._legs.get(key)):
            call_id, leg = owner
            if not self._with_digits:
                text = without_digits(text)
            publish(SipMessage(call_id=call_id, leg=leg.value, direction=direction, at=utc_now(), text=text))


def _readable(text: str) -> str:
    """With a replacement for each octet that is no UTF-8, for example of a display name in Latin-1.

    The binding makes lone surrogates of them, which can be written nowhere.
    """
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _masked(text: str) -> str:
    """Without phone numbers, and without the digits that a party sends: they may be PINs and card numbers."""
    return _DIGITS.sub(r"\1<digits>", _NUMBER.sub("<number>", without_digits(text)))
