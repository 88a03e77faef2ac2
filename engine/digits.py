"""Putting a party's digits together again (RFC 4733): each press once, with its whole duration, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

EVENTS = "0123456789*#ABCD"
"""By event code (RFC 4733, section 3.2)."""
DIGITS = frozenset(EVENTS)
END_MISSING = 0.2
"""Seconds without an update after which a digit counts as ended: all packets with its end bit were lost."""
UNKNOWN_DURATION = 0xFFFF
"""Milliseconds; more than RFC 4733's 16 bits of samples can say means that nobody said it."""
DEFAULT_DURATION = 100
"""Milliseconds of a digit that came without a duration."""
SHORTEST = 40
"""Milliseconds; receivers need so much to take a digit for one (ITU-T Q.24)."""
LONGEST = 8000
"""Milliseconds; the longest event that 16 bits can say at 8 kHz."""
_SIGNAL = re.compile(r"^Signal[ \t]*=[ \t]*(\S+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^Duration[ \t]*=[ \t]*(\d{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Press:
    digit: str = field(repr=False)
    duration_ms: int

    @classmethod
    def lasting(cls, digit: str, duration_ms: int) -> Press:
        """`duration_ms` as it was heard; 0: unknown."""
        return cls(digit, min(max(duration_ms or DEFAULT_DURATION, SHORTEST), LONGEST))


def read_info(body: str) -> Press | None:
    """The digit in a body of application/dtmf-relay; None if it names none.

    There is no standard: some say the digit, some the number that RFC 4733 gives it (16 is flash, not 1).
    """
    signal, duration = _SIGNAL.search(body), _DURATION.search(body)
    if signal is None:
        return None
    named = signal[1].upper()
    digit = EVENTS[int(named)] if re.fullmatch("1[0-5]", named) else named
    return Press.lasting(digit, int(duration[1]) if duration else 0) if digit in DIGITS else None


@dataclass(slots=True)
class DigitReader:
    """One leg's digits as its stream reports them: a start, updates, an end, of which any may be missing."""

    _timestamp: int | None = None
    """Of the latest event; it names the event (RFC 4733, section 2.2)."""
    _digit: str = field(default="", repr=False)
    _duration: int = 0
    _is_down: bool = False

    @property
    def is_down(self) -> bool:
        """Whether a key is pressed: call `give_up` if nothing comes for `END_MISSING`."""
        return self._is_down

    def feed(self, digit: str, timestamp: int, duration_ms: int, *, ended: bool) -> list[Press]:
        """What has been pressed and released by now."""
        digit = digit.upper()
        if digit not in DIGITS:
            return []
        if timestamp == self._timestamp and digit == self._digit:
            if not self._is_down:
                return []
            presses = []
        else:
            presses = self.give_up()
            self._timestamp, self._digit, self._duration, self._is_down = timestamp, digit, 0, True
        known = 0 if duration_ms > UNKNOWN_DURATION else duration_ms
        self._duration = max(self._duration, known)
        return [*presses, *self.give_up()] if ended else presses

    def give_up(self) -> list[Press]:
        """End the digit that is pressed, if there is one, with the duration it had at last."""
        if not self._is_down:
            return []
        self._is_down = False
        return [Press.lasting(self._digit, self._duration)]
