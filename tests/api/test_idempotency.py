"""A POST that is repeated with its Idempotency-Key makes no second call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from state.call import CallState, DisconnectionReason
from state.connection import connect
from state.keys import Keys
from tests.api.conftest import BASE_PATH, Platform
from tests.api.played_engine import new_number


def body(**changes: Any) -> dict[str, Any]:
    return {"caller": {"number": new_number()}, "callee": {"number": new_number()}, **changes}


def post(platform: Platform, content: dict[str, Any], key: str, client: str = "shop") -> httpx2.Response:
    headers = {**platform.bearer(client), "Idempotency-Key": key}
    return platform.http.post(f"{BASE_PATH}/calls", json=content, headers=headers)


def test_the_same_request_gets_the_same_answer_whatever_the_call_does(platform: Platform) -> None:
    content, key = body(recordingEnabled=True), str(uuid4())
    first = post(platform, content, key)
    assert first.status_code == 201
    call_id = first.json()["callId"]
    platform.engine.advance(call_id, CallState.CALLING_CALLER)
    second = post(platform, content, key)
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["location"] == first.headers["location"]
    platform.engine.end(call_id, DisconnectionReason.CALLER_BUSY)
    third = post(platform, content, key)
    assert (third.status_code, third.json()) == (201, first.json())
    assert platform.engine.states(call_id)[-1] is CallState.DISCONNECTED


def test_ten_at_once_make_one_call(platform: Platform) -> None:
    content, key = body(), str(uuid4())
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: post(platform, content, key), range(10)))
    assert [answer.status_code for answer in answers] == [201] * 10
    assert len({answer.json()["callId"] for answer in answers}) == 1


def test_another_content_under_the_same_key_is_refused(platform: Platform) -> None:
    content, key = body(), str(uuid4())
    assert post(platform, content, key).status_code == 201
    other = post(platform, {**content, "recordingEnabled": True}, key)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_a_call_whose_record_is_gone_is_not_made_again(platform: Platform) -> None:
    content, key = body(), str(uuid4())
    call_id = post(platform, content, key).json()["callId"]

    async def forget() -> None:
        async with connect(platform.redis_url) as redis:
            await redis.delete(Keys("platform").call(call_id))

    platform.engine.run(forget())
    gone = post(platform, content, key)
    assert (gone.status_code, gone.json()["code"]) == (404, "NOT_FOUND")


def test_order_and_spaces_are_not_content_and_neither_are_quotation_marks(platform: Platform) -> None:
    content, key = body(), str(uuid4())
    first = post(platform, content, key)
    reversed_content = dict(reversed(content.items()))
    assert post(platform, reversed_content, f'"{key}"').json() == first.json()


def test_a_key_is_its_clients_own(platform: Platform) -> None:
    content, key = body(), str(uuid4())
    first, second = post(platform, content, key), post(platform, content, key, "rival")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["callId"] != second.json()["callId"]


def test_a_refused_request_may_be_repeated(platform: Platform) -> None:
    number, key = new_number(), str(uuid4())
    refused = post(platform, body(caller={"number": number}, callee={"number": number}), key)
    assert refused.json()["code"] == "SAME_CALLER_CALLEE"
    assert post(platform, body(), key).status_code == 201


@pytest.mark.parametrize("key", ["", '""', '"', 'a"b', "a b", "x" * 256, "caf\u00e9"])
def test_a_key_that_is_none_is_refused(platform: Platform, key: str) -> None:
    headers = [*platform.bearer().items(), ("Idempotency-Key", key)]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    answer = platform.http.post(f"{BASE_PATH}/calls", json=body(), headers=encoded)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_ARGUMENT")
    assert answer.json()["message"].startswith("Idempotency-Key: ")
