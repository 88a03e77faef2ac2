"""Real calls that share a pool of minutes: how long they talk, and what it costs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from config import PoolSettings
from state.call import CallState, DisconnectionReason
from state.pool import MinutePools, PoolStatus, TopUpResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import cause, connect
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

POOL = PoolSettings(minimum=2, slice=4)


@pytest.fixture(scope="module")
def product(trunk: SipTrunk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    overrides: Overrides = {
        "enterprises": {"acme": {"pool": POOL.model_dump(include={"minimum", "slice"})}},
        "call": {"media_timeout": 0},
    }
    with Product(tmp_path_factory.mktemp("pool"), trunk_port=trunk.port, overrides=overrides) as running:
        yield running


def fill(product: Product, seconds: int) -> None:
    """The pool has been used up before."""
    assert status(product).balance == 0
    answer = product.with_redis(
        lambda redis, keys: MinutePools(redis, keys).top_up(
            "acme", POOL, seconds=seconds, reference=str(uuid4())
        )
    )
    assert answer is TopUpResult.ADDED


def status(product: Product) -> PoolStatus:
    return product.with_redis(lambda redis, keys: MinutePools(redis, keys).show("acme", POOL))


def assert_books_add_up(product: Product) -> None:
    command = [sys.executable, "-m", "dialbridge", "pool", "check", "--config", str(product.config)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_call_is_extended_beyond_its_first_slice_and_ends_when_the_pool_is_used_up(
    product: Product, trunk: SipTrunk
) -> None:
    fill(product, 7)
    talk = connect(product, trunk)
    ended = product.wait_ended(talk.call_id)
    assert (ended.state, ended.reason) == (CallState.DISCONNECTED, DisconnectionReason.OTHER)
    assert (ended.granted_seconds, ended.duration, ended.billed_seconds) == (7, 7, 7)
    for phone in (talk.caller, talk.callee):
        assert cause(phone, "BYE") == "Q.850;cause=102"
    assert status(product) == PoolStatus(0, 0, None, is_low=False)
    refused = product.post(fresh_number(), fresh_number())
    assert (refused.status_code, refused.json()["code"]) == (429, "QUOTA_EXCEEDED")
    assert_books_add_up(product)


def test_two_calls_at_once_share_what_there_is(product: Product, trunk: SipTrunk) -> None:
    fill(product, 11)
    talks = [connect(product, trunk) for _ in range(2)]
    ends = [product.wait_ended(talk.call_id) for talk in talks]
    assert sum(end.granted_seconds or 0 for end in ends) == 11
    assert all(end.duration == end.granted_seconds == end.billed_seconds for end in ends)
    assert status(product).balance == 0
    assert_books_add_up(product)


def test_a_call_whose_engine_dies_is_billed_what_it_was_granted_at_most(
    product: Product, trunk: SipTrunk
) -> None:
    fill(product, 4)
    talk = connect(product, trunk)
    product.engine.kill()
    ended = product.wait_ended(talk.call_id)
    assert ended.reason is DisconnectionReason.OTHER
    assert ended.granted_seconds == 4
    assert ended.billed_seconds == ended.duration
    assert status(product) == PoolStatus(4 - (ended.duration or 0), 0, None, is_low=False)
    assert_books_add_up(product)
