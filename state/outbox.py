"""Events on their way to sinks: in order per call, independent between calls, kept until delivered."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from state.call import CallEvent
from state.connection import load_script
from state.delivery_counts import DeliveryOutcome
from state.keys import Keys


@dataclass(frozen=True, slots=True)
class Delivery:
    """The oldest undelivered event of a call, leased to one notifier."""

    event: CallEvent
    failed_attempts: int
    raw: str
    """The event as stored: proves on settling that it is still the oldest."""


class Outbox:
    """Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys, *, retention: int) -> None:
        """`retention`: seconds that what was not delivered is kept."""
        self._redis = redis
        self._keys = keys
        self._retention = retention
        self._claim = load_script(redis, "claim_deliveries")
        self._settle = load_script(redis, "settle_delivery")
        self._postpone = load_script(redis, "postpone_delivery")
        self._bury = load_script(redis, "bury_delivery")

    async def claim(self, *, lease: float, at_most: int) -> list[Delivery]:
        """Due deliveries; each is ours for `lease` seconds, then anyone's again."""
        flat = await self._claim(
            keys=[self._keys.outbox_due], args=[self._keys.root, int(lease * 1000), at_most]
        )
        return [
            Delivery(CallEvent.model_validate_json(raw), int(failed), raw)
            for _, raw, failed in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]

    async def settle(self, delivery: Delivery) -> None:
        """Delivered: the call's next event becomes due. With the last one the sink's credential goes."""
        keys, call_id = self._keys, delivery.event.call_id
        await self._settle(
            keys=[
                keys.outbox(call_id),
                keys.outbox_due,
                keys.outbox_attempt(call_id),
                keys.outbox_wake,
                keys.call(call_id),
            ],
            args=[call_id, delivery.raw],
        )

    async def bury(self, delivery: Delivery, outcome: DeliveryOutcome) -> None:
        """It will not be delivered: a dead letter. The call's next event becomes due, or shares its fate."""
        keys, call_id = self._keys, delivery.event.call_id
        await self._bury(
            keys=[
                keys.outbox(call_id),
                keys.outbox_due,
                keys.outbox_attempt(call_id),
                keys.outbox_wake,
                keys.call(call_id),
                keys.dead_letters,
            ],
            args=[call_id, delivery.raw, outcome.value, int(outcome.stops_the_call), self._retention * 1000],
        )

    async def postpone(self, delivery: Delivery, delay: float) -> None:
        """The attempt failed; try again in `delay` seconds."""
        await self._make_due(delivery, delay, failed=1)

    async def defer(self, delivery: Delivery, delay: float) -> None:
        """There was no attempt; look again in `delay` seconds."""
        await self._make_due(delivery, delay, failed=0)

    async def _make_due(self, delivery: Delivery, delay: float, *, failed: int) -> None:
        keys, call_id = self._keys, delivery.event.call_id
        await self._postpone(
            keys=[keys.outbox(call_id), keys.outbox_due, keys.outbox_attempt(call_id)],
            args=[call_id, delivery.raw, int(delay * 1000), failed],
        )

    async def seconds_until_due(self) -> float | None:
        """How long until the next attempt is due (at least 0); None when nothing waits."""
        earliest = await self._redis.zrange(self._keys.outbox_due, 0, 0, withscores=True)
        if not earliest:
            return None
        seconds, microseconds = await self._redis.time()
        return max(0.0, float(earliest[0][1]) / 1000 - seconds - microseconds / 1e6)

    @property
    def wake_channel(self) -> str:
        """Published to whenever something becomes due at once."""
        return self._keys.outbox_wake
