"""How deliveries to sinks ended, over all notifiers and their restarts; the outbox's scripts count."""

from __future__ import annotations

from enum import StrEnum

from redis.asyncio import Redis

from state.keys import Keys


class DeliveryOutcome(StrEnum):
    DELIVERED = "delivered"
    RETRIED = "retried"
    """An attempt failed and another one will follow."""
    REFUSED = "refused"
    """The sink answered 410 Gone: it gets no more events of this call."""
    TOKEN_EXPIRED = "token_expired"  # noqa: S105  # an outcome
    """The access token for the sink is no longer good: the sink gets no more events of this call."""
    GIVEN_UP = "given_up"
    """Nobody took the event in time."""

    @property
    def stops_the_call(self) -> bool:
        """Whether later events of the same call would meet the same end."""
        return self in (DeliveryOutcome.REFUSED, DeliveryOutcome.TOKEN_EXPIRED)


class DeliveryCounts:
    """Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def read(self) -> dict[DeliveryOutcome, int]:
        counts = await self._redis.hgetall(self._keys.delivery_counts)
        return {outcome: int(counts.get(outcome.value, 0)) for outcome in DeliveryOutcome}
