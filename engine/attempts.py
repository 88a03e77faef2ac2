"""The attempts at both parties, as the call machine's events and actions tell them. As pure as that is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from engine import signals as sig
from engine.causes import Q850, q850_of_status
from engine.signals import Action, Event, Leg
from state.attempts import LegAttempt

RINGING = range(180, 190)
OK, REQUEST_TERMINATED = 200, 487


class Attempts:
    def __init__(self, trunk: str, numbers: Mapping[Leg, str]) -> None:
        """`numbers`: the parties' own."""
        self._trunk = trunk
        self._numbers = numbers
        self._attempts: list[LegAttempt] = []

    @property
    def all(self) -> tuple[LegAttempt, ...]:
        """In the order in which they were begun."""
        return tuple(self._attempts)

    def hear(self, event: Event, now: datetime) -> None:
        match event:
            case sig.LegProgress(leg, status) if status in RINGING:
                self._ringing(leg, now)
            case sig.LegAnswered(leg):
                self._change(leg, answered_at=now)
            case sig.LegEnded(leg, status, q850, by_us):
                self._ended(leg, status, q850, now, by_us=by_us)
            case sig.LegRedirected(leg, _, status):
                self._ended(leg, status, None, now, by_us=False)

    def see(self, action: Action, now: datetime) -> None:
        match action:
            case sig.Dial(leg, number):
                self._attempts.append(
                    LegAttempt(
                        leg=leg.value,
                        trunk=self._trunk,
                        dialled=number or self._numbers[leg],
                        invited_at=now,
                    )
                )
            case sig.HangUp(leg, q850):
                # Nothing that the party says afterwards changes how the leg ended.
                answered = (attempt := self._open(leg)) is not None and attempt.answered_at is not None
                self._ended(leg, OK if answered else REQUEST_TERMINATED, q850, now, by_us=True)

    def _open(self, leg: Leg) -> LegAttempt | None:
        return next((one for one in self._attempts if one.leg == leg and one.ended_at is None), None)

    def _ringing(self, leg: Leg, now: datetime) -> None:
        # A re-INVITE may bring provisional responses too.
        attempt = self._open(leg)
        if attempt is not None and attempt.ringing_at is None and attempt.answered_at is None:
            self._change(leg, ringing_at=now)

    def _ended(self, leg: Leg, status: int, q850: int | None, now: datetime, *, by_us: bool) -> None:
        cleared = Q850.NORMAL_CLEARING if status == OK else q850_of_status(status)
        self._change(
            leg,
            ended_at=now,
            sip_status=status,
            q850=int(q850 or cleared),
            ended_by="platform" if by_us else "party",
        )

    def _change(self, leg: Leg, **news: object) -> None:
        if (attempt := self._open(leg)) is not None:
            self._attempts[self._attempts.index(attempt)] = attempt.model_copy(update=news)
