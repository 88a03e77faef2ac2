"""An enterprise's limits: live calls at once, and new calls per second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.camara_schemas import validate_error
from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess
from tests.support.waiting import wait_until

Post = Callable[[], httpx2.Response]
Starter = Callable[..., tuple[Post, Post]]


@pytest.fixture
def start(redis_url: str, prefix: str, tmp_path: Path, engine: PlayedEngine) -> Iterator[Starter]:
    """Starts an api whose first enterprise has limits; tells how each of the two enterprises posts a call."""
    del engine  # takes the calls
    started: list[tuple[ApiProcess, httpx2.Client]] = []

    def start(**limits: Any) -> tuple[Post, Post]:
        changes = {
            "enterprises": [
                {"id": "acme", "number": "+442079460000", "callers": "anyone", **limits},
                {"id": "globex", "number": "+442079460001", "callers": "anyone"},
            ],
            "clients": [
                {"id": "shop", "secret": SECRET, "enterprise": "acme"},
                {"id": "rival", "secret": SECRET, "enterprise": "globex"},
            ],
        }
        process = ApiProcess(write_config(tmp_path, redis_url, prefix, changes=changes))
        process.start()
        http = httpx2.Client(base_url=process.root, trust_env=False, timeout=20)
        started.append((process, http))
        return poster(http, "shop"), poster(http, "rival")

    yield start
    for process, http in started:
        http.close()
        process.stop()


def poster(http: httpx2.Client, client_id: str) -> Post:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
    token = http.post("/oauth2/token", data=form).json()["access_token"]

    def post() -> httpx2.Response:
        body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
        return http.post(f"{BASE_PATH}/calls", json=body, headers={"Authorization": f"Bearer {token}"})

    return post


def refused(answer: httpx2.Response) -> int:
    """Seconds that the refusal asks for."""
    assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS"), answer.text
    validate_error(429, answer.json())
    return int(answer.headers["retry-after"])


def test_no_more_live_calls_than_allowed_however_they_come(start: Starter, engine: PlayedEngine) -> None:
    ours, theirs = start(max_calls=3)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: ours(), range(10)))
    made = [answer.json()["callId"] for answer in answers if answer.status_code == 201]
    assert len(made) == 3
    assert refused(ours()) > 0
    assert theirs().status_code == 201, "another enterprise"
    engine.end(made[0])
    assert ours().status_code == 201
    refused(ours())


def test_an_enterprise_that_may_make_no_calls(start: Starter) -> None:
    ours, theirs = start(max_calls=0)
    refused(ours())
    assert theirs().status_code == 201


def test_no_more_calls_per_second_than_allowed(start: Starter) -> None:
    ours, theirs = start(max_cps=0.25)
    assert ours().status_code == 201
    assert 1 <= refused(ours()) <= 4
    assert theirs().status_code == 201, "another enterprise"
    wait_until(lambda: ours().status_code == 201, 10, "a call four seconds later")
    refused(ours())


def test_a_seconds_worth_may_come_at_once(start: Starter) -> None:
    ours, _ = start(max_cps=20)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: ours().status_code, range(40)))
    assert set(answers) == {201, 429}
    assert answers.count(201) >= 20
