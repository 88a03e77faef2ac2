"""kill -9 of the api while calls are being made: what was made is told of, to the end."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx2
import pytest

from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess
from tests.api.sink_server import SinkServer
from tests.support.waiting import wait_until


class Client(threading.Thread):
    """Posts calls, one after the other, until the api is gone."""

    def __init__(self, root: str, sink: str, made: list[str]) -> None:
        super().__init__()
        self._root, self._sink, self._made = root, sink, made

    def run(self) -> None:
        with (
            suppress(httpx2.HTTPError),
            httpx2.Client(base_url=self._root, trust_env=False, timeout=20) as http,
        ):
            grant = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": SECRET}
            token = http.post("/oauth2/token", data=grant).json()["access_token"]
            while True:
                body = {
                    "caller": {"number": new_number()},
                    "callee": {"number": new_number()},
                    "sink": self._sink,
                }
                bearer = {"Authorization": f"Bearer {token}"}
                answer = http.post(f"{BASE_PATH}/calls", json=body, headers=bearer)
                self._made.append(answer.json()["callId"])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_events_of_all_calls_arrive_when_the_api_is_killed(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - a test that fails must fail again
    config = write_config(tmp_path, redis_url, prefix)
    api, notifier = ApiProcess(config), NotifierProcess(config)
    notifier.start()
    answered: list[str] = []
    try:
        for _ in range(3):
            api.start()
            enough = len(answered) + random.randint(1, 20)
            clients = [Client(api.root, f"{sink.root}/told", answered) for _ in range(3)]
            for client in clients:
                client.start()
            wait_until(lambda enough=enough: len(answered) >= enough)  # type: ignore[misc]
            api.kill()
            for client in clients:
                client.join()
        made = engine.run(engine.registry.calls_of(engine.engine_id))
        assert made >= set(answered), "also those of which nobody was told"
        for call_id in made:
            engine.end(call_id)
        told = sink.wait_for("/told", 2 * len(made))
    finally:
        notifier.stop()
    states: dict[str, list[str]] = {}
    for one in told:
        states.setdefault(one.event["data"]["callId"], []).append(one.state)
    assert states == {call_id: ["initiating", "disconnected"] for call_id in made}
