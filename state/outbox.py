"""Events on their way: in order per owner, independent between owners and sinks, kept until delivered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from state.connection import load_script
from state.delivery_counts import DeliveryOutcome
from state.events import Event, read_event
from state.keys import Keys

PROBE_AT_MOST = 30.0
"""Seconds between two probes of a sink that is down: so long, events may wait for one that is back."""


class Meeting(StrEnum):
    """What an attempt met of its sink, whatever it said of the event."""

    NOTHING = ""
    """It was not asked."""
    PROMPT = "prompt"
    SLOW = "slow"
    MISSED = "missed"
    """It could not be reached, or said that it is overloaded."""


class Pace(StrEnum):
    """Of a sink, when something for it was claimed."""

    PROMPT = ""
    """As far as we know."""
    SLOW = "slow"
    DOWN = "down"
    """This is the only attempt at it: a probe."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The oldest undelivered event of a call or a pool, leased to one notifier."""

    event: Event
    failed_attempts: int
    raw: str
    """The event as stored: proves on settling that it is still the oldest."""
    sink: str
    """Enterprise and authority: what events of several owners have in common (sink_queue.lua)."""
    pace: Pace
    record: dict[str, str]
    """Of the event's owner, as stored; empty when it has gone."""


@dataclass(frozen=True, slots=True)
class Claim:
    deliveries: list[Delivery]
    seconds_until_due: float | None
    """How long until there is more to claim (at least 0); None when nothing else waits."""


class Outbox:
    """Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys, *, retention: int, first_probe: float = 1.0) -> None:
        """`retention`: seconds that what was not delivered is kept; `first_probe`: seconds until a sink that
        is down is tried again, doubled with each time that it still is."""
        self._redis = redis
        self._keys = keys
        self._retention = retention
        self._probing = (int(1000 * min(first_probe, PROBE_AT_MOST)), int(1000 * PROBE_AT_MOST))
        self._claim = load_script(redis, "sink_queue", "claim_deliveries")
        self._settle = load_script(redis, "sink_queue", "settle_delivery")
        self._postpone = load_script(redis, "sink_queue", "postpone_delivery")
        self._bury = load_script(redis, "sink_queue", "bury_delivery")
        self._mark_slow = load_script(redis, "sink_queue", "mark_slow_sink")

    async def claim(self, *, lease: float, prompt: int, slow: int, per_sink: int) -> Claim:
        """Due deliveries; each is ours for `lease` seconds, then anyone's again.

        At most `prompt` of sinks that answer at once, `slow` of others, and `per_sink` of one sink, counting
        those that any notifier holds already.
        """
        keys = self._keys
        wait, *claimed = await self._claim(
            keys=[keys.outbox_due, keys.outbox_sinks, keys.outbox_slow_sinks],
            args=[keys.root, int(lease * 1000), prompt, slow, per_sink],
        )
        return Claim([_delivery(*entry) for entry in claimed], None if wait < 0 else wait / 1000)

    async def settle(self, delivery: Delivery, met: Meeting = Meeting.PROMPT) -> None:
        """Delivered: the call's next event becomes due. With the last one the sink's credential goes."""
        await self._drop(delivery, DeliveryOutcome.DELIVERED, met)

    async def drop(self, delivery: Delivery) -> None:
        """There is nobody to deliver it to: no outcome to be counted. The call's next event becomes due."""
        await self._drop(delivery, None, Meeting.NOTHING)

    async def _drop(self, delivery: Delivery, outcome: DeliveryOutcome | None, met: Meeting) -> None:
        keys, owner = self._keys, delivery.event.owner
        await self._settle(
            keys=[keys.outbox(owner), keys.outbox_attempt(owner), keys.outbox_record(owner)],
            args=self._of(delivery, outcome, met),
        )

    async def bury(
        self, delivery: Delivery, outcome: DeliveryOutcome, met: Meeting = Meeting.NOTHING
    ) -> None:
        """It will not be delivered: a dead letter. The call's next event becomes due, or shares its fate."""
        keys, owner = self._keys, delivery.event.owner
        await self._bury(
            keys=[
                keys.outbox(owner),
                keys.outbox_attempt(owner),
                keys.outbox_record(owner),
                keys.dead_letters,
            ],
            args=[
                *self._of(delivery, outcome, met),
                outcome.value,
                int(outcome.stops_the_call),
                self._retention * 1000,
            ],
        )

    async def postpone(self, delivery: Delivery, delay: float, met: Meeting = Meeting.NOTHING) -> None:
        """The attempt failed; try again in `delay` seconds."""
        keys, owner = self._keys, delivery.event.owner
        await self._postpone(
            keys=[keys.outbox(owner), keys.outbox_attempt(owner)],
            args=[*self._of(delivery, DeliveryOutcome.RETRIED, met), int(delay * 1000)],
        )

    async def mark_slow(self, sink: str) -> None:
        """It has not answered for a while: what waits for it shares the slots of slow sinks."""
        await self._mark_slow(args=[self._keys.root, sink])

    async def is_empty(self) -> bool:
        """Whether nothing waits or is being delivered."""
        keys = self._keys
        return not await self._redis.exists(keys.outbox_due, keys.outbox_sinks, keys.outbox_slow_sinks)

    def _of(self, delivery: Delivery, outcome: DeliveryOutcome | None, met: Meeting) -> list[Any]:
        """What all scripts on a delivery are told of it."""
        told = [self._keys.root, delivery.sink, delivery.event.owner, delivery.raw]
        return [*told, outcome or "", met.value, int(delivery.pace is Pace.DOWN), *self._probing]

    @property
    def wake_channel(self) -> str:
        """Published to whenever something becomes due at once."""
        return self._keys.outbox_wake


def _delivery(raw: str, failed: str, sink: str, pace: str, record: list[str]) -> Delivery:
    return Delivery(
        read_event(raw),
        int(failed),
        raw,
        sink,
        Pace(pace),
        dict(zip(record[::2], record[1::2], strict=True)),
    )
