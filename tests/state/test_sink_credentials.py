"""A sink's credential is deleted as soon as no event of its call can need it any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from state.call import CallState, utc_now
from state.calls import CallStore
from state.dead_letters import DeadLetters, ResendResult
from state.delivery_counts import DeliveryOutcome
from state.engines import EngineRegistry
from state.keys import Keys
from state.outbox import Delivery, Outbox
from tests.state.test_calls import create, engine, new_call, step

pytestmark = pytest.mark.anyio

CREDENTIAL = ("sink_token", "sink_token_expires_at", "sink_client_id", "sink_token_uri")
IN_AN_HOUR = utc_now() + timedelta(hours=1)
KINDS: list[dict[str, Any]] = [
    {"sink_token": "sealed-token", "sink_token_expires_at": IN_AN_HOUR},
    {"sink_token": None, "sink_client_id": "us", "sink_token_uri": "https://id.example/token"},
]


@pytest.fixture
async def store(redis: Redis, keys: Keys) -> CallStore:
    await EngineRegistry(redis, keys, lost_after=5).heartbeat(engine("e1"))
    return CallStore(redis, keys, retention=100, engine_lost_after=5)


@pytest.fixture
def outbox(redis: Redis, keys: Keys) -> Outbox:
    return Outbox(redis, keys, retention=60)


async def credential(store: CallStore) -> dict[str, object]:
    call = await store.get("c1")
    assert call is not None
    assert call.sink == "http://127.0.0.1/sink"
    return {name: getattr(call, name) for name in CREDENTIAL if getattr(call, name) is not None}


async def oldest(outbox: Outbox) -> Delivery:
    claim = await outbox.claim(lease=0, prompt=10, slow=10, per_sink=10)
    (delivery,) = claim.deliveries
    return delivery


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", [CallState.DISCONNECTED, CallState.FAILED])
async def test_it_goes_with_the_last_event(
    store: CallStore, outbox: Outbox, kind: dict[str, Any], end: CallState
) -> None:
    await create(store, new_call(**kind))
    before = await credential(store)
    assert before == {name: value for name, value in kind.items() if value is not None}
    await outbox.settle(await oldest(outbox))  # nothing waits, but the call goes on
    await store.transition(step("c1", CallState.CALLING_CALLER))
    await store.transition(step("c1", end))
    await outbox.settle(await oldest(outbox))  # the call has ended, but an event waits
    assert await credential(store) == before
    await outbox.settle(await oldest(outbox))
    assert await credential(store) == {}


async def test_a_dead_letter_keeps_it_until_it_was_delivered(
    store: CallStore, outbox: Outbox, redis: Redis, keys: Keys
) -> None:
    await create(store, new_call(**KINDS[0]))
    before = await credential(store)
    await store.transition(step("c1", CallState.FAILED))
    await outbox.bury(await oldest(outbox), DeliveryOutcome.GIVEN_UP)
    await outbox.settle(await oldest(outbox))
    assert await credential(store) == before
    dead = DeadLetters(redis, keys)
    (letter,) = [one async for one in dead.all()]
    assert await dead.resend(letter) is ResendResult.RESENT
    await outbox.settle(await oldest(outbox))
    assert await credential(store) == {}


async def test_so_do_the_letters_of_a_call_that_went_on(
    store: CallStore, outbox: Outbox, redis: Redis, keys: Keys
) -> None:
    """Its sink answered 410 to the first: the others were never tried."""
    await create(store, new_call(**KINDS[0]))
    before = await credential(store)
    await outbox.bury(await oldest(outbox), DeliveryOutcome.REFUSED)
    await store.transition(step("c1", CallState.FAILED))
    dead = DeadLetters(redis, keys)
    letters = [one async for one in dead.all()]
    assert len(letters) == 2
    for letter in letters:
        assert await credential(store) == before
        await dead.resend(letter)
        await outbox.settle(await oldest(outbox))
    assert await credential(store) == {}


async def test_a_token_that_has_expired_is_deleted_at_once(store: CallStore, outbox: Outbox) -> None:
    await create(store, new_call(**KINDS[0]))
    await outbox.bury(await oldest(outbox), DeliveryOutcome.TOKEN_EXPIRED)
    # That there was one, and is none to send without, is still known.
    assert await credential(store) == {"sink_token_expires_at": IN_AN_HOUR}


async def test_the_end_of_the_retention_takes_what_is_left(
    store: CallStore, redis: Redis, keys: Keys
) -> None:
    await create(store, new_call(**KINDS[0]))
    await store.transition(step("c1", CallState.FAILED))
    assert 0 < await redis.ttl(keys.call("c1")) <= 100
