"""Putting a party's digits together again (RFC 4733): each pressed key once, with its whole duration, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

DIGITS = frozenset("0123456789*#ABCD")
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


@dataclass(frozen=True, slots=True)
class Press:
    digit: str = field(repr=False)
    duration_ms: int


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
        known = DEFAULT_DURATION if duration_ms > UNKNOWN_DURATION else duration_ms
        self._duration = max(self._duration, known)
        return [*presses, *self.give_up()] if ended else presses

    def give_up(self) -> list[Press]:
        """End the digit that is pressed, if there is one, with the duration it had at last."""
        if not self._is_down:
            return []
        self._is_down = False
        return [Press(self._digit, min(max(self._duration, SHORTEST), LONGEST))]
