"""Events that no sink has taken and none will get any more, until somebody sends them again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from redis.asyncio import Redis

from state.connection import load_script
from state.delivery_counts import DeliveryOutcome
from state.events import Event, read_event
from state.keys import Keys
from state.streams import added_at, read_stream


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: str
    event: Event
    reason: DeliveryOutcome
    """`refused`, `token_expired` or `given_up`."""

    @property
    def buried_at(self) -> datetime:
        """UTC, by the clock of the Redis server."""
        return added_at(self.id)


class ResendResult(StrEnum):
    RESENT = "resent"
    UNKNOWN = "unknown"
    """It was sent again already, or it was too old to be kept."""
    NO_SINK = "no_sink"
    """The call's record, which named the sink, has gone."""


class DeadLetters:
    """Kept as long as the records of ended calls.

    Every method may raise one of `state.connection.UNREACHABLE`.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._resend = load_script(redis, "resend_dead_letter")

    async def all(self) -> AsyncIterator[DeadLetter]:
        """In the order in which delivery ended."""
        async for letter_id, fields in read_stream(self._redis, self._keys.dead_letters):
            event = read_event(fields["event"])
            yield DeadLetter(letter_id, event, DeliveryOutcome(fields["reason"]))

    async def resend(self, letter: DeadLetter) -> ResendResult:
        """Make the event due again, with its id; the letter is one no longer.

        Several of one owner are to be sent again in their order, or the sink gets them in another.
        """
        keys, owner = self._keys, letter.event.owner
        answer = await self._resend(
            keys=[
                keys.dead_letters,
                keys.outbox_record(owner),
                keys.outbox(owner),
                keys.outbox_due,
                keys.outbox_wake,
            ],
            args=[letter.id, owner],
        )
        return ResendResult(answer)
