"""api and notifier killed at random while calls come and go: the books add up, and every call ends once."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from config import PoolSettings
from state.call import LIVE_STATES, CallState, DisconnectionReason, Transition, utc_now
from state.pool import MinutePools, TopUpResult
from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess, ProductProcess
from tests.api.sink_server import SinkServer
from tests.support.waiting import wait_until

LOST_AFTER = 3.0
POOL = PoolSettings(minimum=5, slice=30, increment=6)
CALLS = 60
KILLS = 6
GONE = re.compile(r"^\{.*\}:pair:")


class Client:
    """Posts a call again and again until the api, which may be killed meanwhile, has answered."""

    def __init__(self, api: ApiProcess, sink: SinkServer) -> None:
        self._api = api
        self._sink = sink
        self.made: list[str] = []
        self.refused = 0

    def post(self) -> None:
        """The same Idempotency-Key each time: no request makes two calls."""
        key = str(uuid4())
        body = {
            "caller": {"number": new_number()},
            "callee": {"number": new_number()},
            "sink": f"{self._sink.root}/{key}",
        }
        while True:
            try:
                with httpx2.Client(base_url=self._api.root, trust_env=False, timeout=20) as http:
                    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": SECRET}
                    token = http.post("/oauth2/token", data=form).json()["access_token"]
                    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
                    answer = http.post(f"{BASE_PATH}/calls", json=body, headers=headers)
            except httpx2.HTTPError:
                continue
            if answer.status_code == 503:
                continue  # the machine is so busy that the engine's heartbeat is late
            if answer.status_code == 201:
                self.made.append(answer.json()["callId"])
            else:
                assert (answer.status_code, answer.json()["code"]) == (429, "QUOTA_EXCEEDED"), answer.text
                self.refused += 1
            return


class Talking:
    """Brings the engine's calls as far as chance will have it; some it leaves to the reaper."""

    def __init__(self, engine: PlayedEngine, chance: random.Random) -> None:
        self._engine = engine
        self._chance = chance
        self._pools = MinutePools(engine.redis, engine.keys)

    def run(self, over: Event) -> None:
        known: set[str] = set()
        while not over.is_set() or self._engine.dialled.keys() - known:
            for call_id in [*self._engine.dialled.keys() - known]:
                known.add(call_id)
                self._play(call_id)
            over.wait(0.02)

    def _play(self, call_id: str) -> None:
        engine, chance = self._engine, self._chance
        granted = engine.dialled[call_id].granted_seconds or 0
        steps = chance.randint(0, 3)
        for state in LIVE_STATES[1 : steps + 1]:
            self._step(call_id, state)
        for _ in range(chance.randint(0, 2)):
            granted = engine.run(self._pools.extend(call_id, 1, granted)) or granted
        if chance.random() < 0.8:
            talked = chance.randint(0, granted) if steps == 3 else 0
            self._step(call_id, CallState.DISCONNECTED, talked)

    def _step(self, call_id: str, state: CallState, talked: int | None = None) -> None:
        reason = DisconnectionReason.HANG_UP if state.is_terminal else None
        step = Transition.to(state, call_id=call_id, epoch=1, at=utc_now(), reason=reason, duration=talked)
        self._engine.run(self._engine.calls.transition(step))


@pytest.fixture
def config(redis_url: str, prefix: str, tmp_path: Path) -> Path:
    pool = POOL.model_dump(include={"minimum", "slice", "increment"})
    enterprise = {"id": "acme", "number": "+442079460000", "callers": "anyone", "pool": pool}
    changes = {"enterprises": [enterprise], "engine": {"lost_after": LOST_AFTER}}
    return write_config(tmp_path, redis_url, prefix, changes=changes)


@pytest.fixture
def talker(redis_url: str, prefix: str) -> Iterator[PlayedEngine]:
    engine = PlayedEngine(redis_url, prefix, lost_after=LOST_AFTER)
    engine.start()
    yield engine
    engine.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_every_call_ends_once_and_the_books_add_up(
    talker: PlayedEngine, sink: SinkServer, config: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a repeatable chance is no secret
    api, notifier = ApiProcess(config), NotifierProcess(config)
    processes: list[ProductProcess] = [api, notifier]
    for process in processes:
        process.start()
    filled = talker.run(
        MinutePools(talker.redis, talker.keys).top_up("acme", POOL, seconds=400, reference="first")
    )
    assert filled is TopUpResult.ADDED
    client, over = Client(api, sink), Event()
    try:
        with ThreadPoolExecutor(6) as threads:
            playing = threads.submit(Talking(talker, chance).run, over)
            posts = [threads.submit(client.post) for _ in range(CALLS)]
            for number in range(KILLS):
                answered = (number + 1) * CALLS // (KILLS + 2)
                wait_until(lambda n=answered: sum(p.done() for p in posts) >= n, 60, "more answers")  # type: ignore[misc]
                process = chance.choice(processes)
                process.kill()
                process.start()
            for post in posts:
                post.result(60)
            over.set()
            playing.result(60)
        talker.die()  # what it has left is the reaper's
        assert len(set(client.made)) == len(client.made)
        assert client.made
        for call_id in client.made:
            wait_until(lambda c=call_id: talker.record(c).state.is_terminal, 30, "the end of the call")  # type: ignore[misc]
            assert sum(state.is_terminal for state in talker.states(call_id)) == 1
        wait_until(lambda: ended_at(sink).keys() == set(client.made), 60, "a terminal event for each call")
        assert set(ended_at(sink).values()) == {1}
        left = talker.run(everything(talker))
        assert not [key for key in left if GONE.match(key) or key.endswith((":acme:calls", ":pool:reserved"))]
        command = [sys.executable, "-m", "dialbridge", "pool", "check", "--config", str(config)]
        checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    finally:
        for process in processes:
            process.stop()


def ended_at(sink: SinkServer) -> Counter[str]:
    """How many terminal events the sinks have heard of each call; a repetition has the same id."""
    ids = {
        (str(one.event["data"]["callId"]), str(one.event["id"]))
        for one in [*sink.received]
        if CallState(one.state).is_terminal
    }
    return Counter(call_id for call_id, _ in ids)


async def everything(engine: PlayedEngine) -> list[str]:
    keys: Any = await engine.redis.keys(f"{engine.keys.root}*")
    return list(keys)
