"""So many log lines of a kind in a while: who sends us garbage must not fill the disk with our complaints."""

from __future__ import annotations

from dataclasses import dataclass

LINES = 10
SECONDS = 10.0
MOST_KINDS = 200
"""More are not told apart: their budgets begin anew."""


@dataclass(slots=True)
class _Budget:
    until: float
    lines: int = 0
    left_out: int = 0


class LogLimit:
    def __init__(self) -> None:
        self._budgets: dict[str, _Budget] = {}

    def take(self, kind: str, now: float) -> int | None:
        """How many lines of this kind have been left out since the last one; None: leave this one out, too.

        `now` in monotonic seconds.
        """
        budget = self._budgets.get(kind)
        if budget is None or now >= budget.until:
            if len(self._budgets) >= MOST_KINDS:
                self._budgets.clear()
            self._budgets[kind] = _Budget(now + SECONDS, lines=1)
            return budget.left_out if budget is not None else 0
        if budget.lines >= LINES:
            budget.left_out += 1
            return None
        budget.lines += 1
        return 0
