"""The queues of sinks: what may be claimed when, and how little of one shows in another."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from state.call import Call, CallEvent, utc_now
from state.calls import CallStore, Placed
from state.delivery_counts import DeliveryCounts, DeliveryOutcome
from state.engines import EngineRegistry, EngineState, EngineStatus
from state.keys import Keys
from state.outbox import Delivery, Meeting, Outbox, Pace

pytestmark = pytest.mark.anyio

ONE, OTHER = "https://one.example/events", "https://other.example/events"

FIRST_PROBE = 1.0
"""Seconds: long enough that a busy machine does not come to it before a test wants it to."""


class Platform:
    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._calls = CallStore(redis, keys, retention=100, engine_lost_after=60)
        self._engines = EngineRegistry(redis, keys, lost_after=60)
        self.outbox = Outbox(redis, keys, retention=100, first_probe=FIRST_PROBE)

    async def call(self, sink: str, enterprise: str = "acme") -> str:
        engine = EngineStatus("e", "e", 1, EngineState.UP, 1000, "127.0.0.1:5060", 0, 0, 0, 0, 0)
        await self._engines.heartbeat(engine)
        call = Call(
            id=str(uuid4()),
            client_id="shop",
            enterprise_id=enterprise,
            caller=str(uuid4()),
            callee="+447700900001",
            presented_number="+442079460000",
            created_at=utc_now(),
            sink=sink,
        )
        first = CallEvent(id=str(uuid4()), call_id=call.id, state=call.state, at=call.created_at)
        assert isinstance(await self._calls.create(call, first), Placed)
        return call.id

    async def claim(
        self, lease: float = 30, prompt: int = 100, slow: int = 100, per_sink: int = 10
    ) -> list[Delivery]:
        claim = await self.outbox.claim(lease=lease, prompt=prompt, slow=slow, per_sink=per_sink)
        return claim.deliveries

    async def claim_in_time(self) -> list[Delivery]:
        """When there is something to claim: no event tells that, the outbox says how long to wait."""
        while True:
            claim = await self.outbox.claim(lease=30, prompt=100, slow=100, per_sink=10)
            if claim.deliveries:
                return claim.deliveries
            assert claim.seconds_until_due is not None
            await asyncio.sleep(claim.seconds_until_due + 0.001)


@pytest.fixture
def platform(redis: Redis, keys: Keys) -> Platform:
    return Platform(redis, keys)


async def test_a_delivery_comes_with_the_calls_record(platform: Platform) -> None:
    call_id = await platform.call(ONE)
    (delivery,) = await platform.claim()
    assert Call.model_validate(delivery.record).sink == ONE
    assert (delivery.event.owner, delivery.pace, delivery.failed_attempts) == (call_id, Pace.PROMPT, 0)
    assert await platform.claim() == []
    await platform.outbox.settle(delivery)
    assert await platform.outbox.is_empty()


async def test_one_sink_has_so_many_at_once_and_no_more(platform: Platform) -> None:
    for _ in range(5):
        await platform.call(ONE)
    await platform.call(OTHER)
    claimed = await platform.claim(per_sink=2)
    assert sorted(delivery.record["sink"] for delivery in claimed) == [ONE, ONE, OTHER]
    assert await platform.claim(per_sink=2) == []
    await platform.outbox.settle(next(one for one in claimed if one.record["sink"] == ONE))
    (following,) = await platform.claim(per_sink=2)
    assert following.record["sink"] == ONE


async def test_what_was_leased_is_anyones_when_the_lease_ends(platform: Platform) -> None:
    await platform.call(ONE)
    (lost,) = await platform.claim(lease=0.02, per_sink=1)
    (found,) = await platform.claim_in_time()
    assert found.event == lost.event
    await platform.outbox.settle(found)
    await platform.outbox.settle(lost)  # too late: there is nothing to settle
    assert await platform.outbox.is_empty()


async def test_a_sink_that_is_down_is_probed_by_one_at_a_time_with_growing_pauses(platform: Platform) -> None:
    for _ in range(4):
        await platform.call(ONE)
    first, *others = await platform.claim()
    await platform.outbox.postpone(first, 0, Meeting.MISSED)
    for other in others:  # on their way when it went down: they lengthen no pause
        await platform.outbox.postpone(other, 0, Meeting.MISSED)
    claim = await platform.outbox.claim(lease=30, prompt=100, slow=100, per_sink=10)
    assert claim.deliveries == []
    assert claim.seconds_until_due is not None
    assert 0 < claim.seconds_until_due <= FIRST_PROBE
    (probe,) = await platform.claim_in_time()
    assert probe.pace is Pace.DOWN
    assert await platform.claim() == []
    await platform.outbox.postpone(probe, 0, Meeting.MISSED)
    claim = await platform.outbox.claim(lease=30, prompt=100, slow=100, per_sink=10)
    assert claim.seconds_until_due is not None
    assert FIRST_PROBE < claim.seconds_until_due <= 2 * FIRST_PROBE
    (probe,) = await platform.claim_in_time()
    await platform.outbox.settle(probe, Meeting.PROMPT)
    assert len(await platform.claim()) == 3, "it is back"


async def test_what_waits_for_a_sink_that_is_down_hides_nothing(platform: Platform) -> None:
    """However much it is."""
    await platform.call(ONE)
    (missed,) = await platform.claim()
    await platform.outbox.postpone(missed, 0, Meeting.MISSED)
    for _ in range(30):
        await platform.call(ONE)
    prompt = await platform.call(OTHER)
    assert [delivery.event.owner for delivery in await platform.claim(prompt=1, slow=1)] == [prompt]


async def test_slow_sinks_have_slots_of_their_own(platform: Platform) -> None:
    for _ in range(5):
        await platform.call(ONE)
    (delivery, *_) = await platform.claim(prompt=1)
    await platform.outbox.mark_slow(delivery.sink)
    await platform.call(OTHER)
    claimed = await platform.claim(prompt=10, slow=2)
    assert sorted((one.pace, one.record["sink"]) for one in claimed) == [
        (Pace.PROMPT, OTHER),
        (Pace.SLOW, ONE),
        (Pace.SLOW, ONE),
    ]
    await platform.outbox.settle(claimed[-1], Meeting.PROMPT)
    assert {one.pace for one in await platform.claim(slow=0)} == {Pace.PROMPT}, "it has answered at once"


async def test_enterprises_at_one_host_do_not_share_its_health(platform: Platform) -> None:
    await platform.call(ONE, "acme")
    (missed,) = await platform.claim()
    await platform.outbox.postpone(missed, 0, Meeting.MISSED)
    await platform.call(ONE, "acme")
    theirs = await platform.call(ONE, "globex")
    assert [delivery.event.owner for delivery in await platform.claim()] == [theirs]


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("https://Example.com:443/a", "https://example.com/b?c", True),
        ("http://example.com:80/a", "HTTP://example.com#d", True),
        ("https://example.com:444/a", "https://example.com/a", False),
        ("https://[2606:4700::1]/a", "https://[2606:4700::1]:443/b", True),
        ("http://example.com/a", "https://example.com/a", False),
    ],
)
async def test_a_sink_is_its_host_and_port(
    platform: Platform, first: str, second: str, is_same: bool
) -> None:
    for sink in (first, second):
        await platform.call(sink)
    one, other = await platform.claim()
    assert (one.sink == other.sink) is is_same


async def test_each_outcome_is_counted(platform: Platform, redis: Redis, keys: Keys) -> None:
    for _ in range(3):
        await platform.call(ONE)
    delivered, retried, refused = await platform.claim()
    await platform.outbox.settle(delivered)
    await platform.outbox.postpone(retried, 10)
    await platform.outbox.bury(refused, DeliveryOutcome.REFUSED)
    counts = await DeliveryCounts(redis, keys).read()
    assert [counts[outcome] for outcome in DeliveryOutcome] == [1, 1, 1, 0, 0]
