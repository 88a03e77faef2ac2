"""An enterprise is told that its pool runs low: once for each time, by an event like any other."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from standardwebhooks import Webhook

from config import PoolSettings
from state.call import Call, CallEvent, utc_now
from state.calls import Placed
from state.connection import connect
from state.keys import Keys
from state.outbox import Outbox
from state.pool import MinutePools
from tests.api.configuration import write_config
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess
from tests.api.sink_server import Received, SinkServer
from tests.api.test_admin import ACME, CLIENTS, Administered, assert_refused
from tests.support.waiting import wait_until

POOL = PoolSettings(low_water_minutes=5)
SECRET = "whsec_" + "b29v" * 8


@dataclass
class Pool:
    """Of the enterprise `acme`."""

    engine: PlayedEngine
    redis_url: str
    prefix: str

    def fill(self, minutes: int) -> None:
        pools = MinutePools(self.engine.redis, Keys(self.prefix))
        self.engine.run(pools.top_up("acme", POOL, seconds=60 * minutes, reference=str(uuid4())))

    def talk(self, seconds: int) -> str:
        """A call of so long; its id."""
        call = Call(
            id=str(uuid4()),
            client_id="shop",
            enterprise_id="acme",
            caller=new_number(),
            callee=new_number(),
            presented_number="+442079460000",
            created_at=utc_now(),
        )
        first = CallEvent(id=str(uuid4()), call_id=call.id, state=call.state, at=call.created_at)
        placed = self.engine.run(self.engine.calls.create(call, first, pool=POOL))
        assert isinstance(placed, Placed)
        self.engine.connect(call.id)
        self.engine.end(call.id, duration=seconds)
        return call.id

    def run_low(self) -> None:
        """From above the low-water mark to below it."""
        self.fill(6)
        self.talk(299)

    def wait_until_told(self) -> None:
        """Of each alarm, and by each event that is to be delivered."""

        async def is_told() -> bool:
            async with connect(self.redis_url) as redis:
                keys = Keys(self.prefix)
                alarms = await redis.xlen(keys.pool_alarms)
                return not alarms and await Outbox(redis, keys, retention=60).is_empty()

        wait_until(lambda: self.engine.run(is_told()), what="no alarm and an empty outbox")


@pytest.fixture
def pool(engine: PlayedEngine, redis_url: str, prefix: str) -> Pool:
    return Pool(engine, redis_url, prefix)


def configured(folder: Path, redis_url: str, prefix: str, *, insecure: bool = True, **acme: Any) -> Path:
    enterprises = [
        {
            "id": "acme",
            "number": "+442079460000",
            "callers": "anyone",
            "pool": {"low_water_minutes": 5},
            **acme,
        },
    ]
    changes = {
        "enterprises": enterprises,
        "clients": CLIENTS,
        "notifier": {"allow_insecure_sinks": insecure},
    }
    return write_config(folder, redis_url, prefix, changes=changes)


@pytest.fixture
def config(sink: SinkServer, redis_url: str, prefix: str, tmp_path: Path) -> Path:
    return configured(
        tmp_path, redis_url, prefix, alerts_sink=f"{sink.root}/alerts", webhook_secrets=[SECRET]
    )


@pytest.fixture
def notifier(config: Path) -> Iterator[NotifierProcess]:
    """Not started yet."""
    process = NotifierProcess(config)
    yield process
    process.stop()


def ids(received: list[Received]) -> list[str]:
    return [str(one.event["id"]) for one in received]


def dead_letters(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dialbridge", "dead-letters", *arguments, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def listed(config: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in dead_letters(config, "list").stdout.splitlines()]


def test_each_crossing_is_told_once_by_a_signed_event(
    pool: Pool, notifier: NotifierProcess, sink: SinkServer
) -> None:
    notifier.start()
    pool.fill(6)
    pool.talk(60)
    pool.wait_until_told()
    assert sink.received == [], "not below it yet"
    pool.talk(61)
    pool.talk(1)
    (first,) = sink.wait_for("/alerts", 1)
    pool.fill(6)
    pool.talk(299)
    first, second = sink.wait_for("/alerts", 2)
    pool.wait_until_told()
    assert len(sink.received) == 2
    assert len(set(ids(sink.received))) == 2
    event = first.event
    at = event["data"].pop("at")
    assert datetime.fromisoformat(at) == datetime.fromisoformat(event.pop("time"))
    assert event == {
        "id": event["id"],
        "source": "http://127.0.0.1:9091/click-to-dial",
        "specversion": "1.0",
        "type": "org.dialbridge.pool.low-water.v1",
        "datacontenttype": "application/json",
        "subject": "acme",
        "data": {"enterprise": "acme", "balanceSeconds": 239, "lowWaterSeconds": 300},
    }
    assert second.event["data"]["balanceSeconds"] == 238 + 360 - 299
    assert first.headers["content-type"] == "application/cloudevents+json"
    for one in (first, second):
        assert Webhook(SECRET).verify(one.body, one.headers)["type"] == "org.dialbridge.pool.low-water.v1"
        assert one.headers["webhook-id"] == one.event["id"]


def test_a_sink_that_is_down_is_told_when_it_is_back(
    pool: Pool, notifier: NotifierProcess, sink: SinkServer
) -> None:
    notifier.start()
    sink.answers["/alerts"].extend([503, 500, 404])
    pool.run_low()
    received = sink.wait_for("/alerts", 4)
    pool.wait_until_told()
    assert len(sink.received) == 4
    assert len({one.body for one in received}) == 1
    assert notifier.log().count("pool_is_low") == 1
    assert "event_delivered" in notifier.log()


def test_a_killed_notifier_loses_no_alert(pool: Pool, notifier: NotifierProcess, sink: SinkServer) -> None:
    pool.run_low()
    sink.held["/alerts"] = threading.Event()
    notifier.start()
    sink.wait_for("/alerts", 1)
    notifier.kill()
    pool.run_low()
    sink.held.pop("/alerts").set()
    notifier.start()
    first, again, second = ids(sink.wait_for("/alerts", 3))
    pool.wait_until_told()
    assert first == again != second
    assert len(sink.received) == 3


def test_without_a_sink_there_is_a_line_in_the_log_alone(
    pool: Pool, sink: SinkServer, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    notifier = NotifierProcess(configured(tmp_path, redis_url, prefix))
    notifier.start()
    try:
        pool.run_low()
        pool.wait_until_told()
        wait_until(lambda: "pool_is_low" in notifier.log())
    finally:
        notifier.stop()
    assert "event_" not in notifier.log()
    assert listed(tmp_path / f"{prefix}.toml") == []
    assert sink.received == []


def test_a_sink_that_has_refused_is_told_nothing_more_until_it_is_asked_again(
    pool: Pool, notifier: NotifierProcess, sink: SinkServer, config: Path
) -> None:
    notifier.start()
    sink.answers["/alerts"].extend([410])
    pool.run_low()
    wait_until(lambda: len(listed(config)) == 1)
    pool.run_low()
    wait_until(lambda: len(listed(config)) == 2)
    pool.wait_until_told()
    letters = listed(config)
    assert [(one["enterprise_id"], one["reason"]) for one in letters] == [("acme", "refused")] * 2
    assert len(sink.received) == 1
    done = dead_letters(config, "resend", "pool:acme")
    assert (done.returncode, done.stderr.strip()) == (0, "2 events on their way")
    received = sink.wait_for("/alerts", 3)
    assert ids(received)[1:] == [one["event_id"] for one in letters]
    pool.run_low()
    sink.wait_for("/alerts", 4)


def test_a_new_sink_is_told_what_the_former_one_refused_to_hear(
    pool: Pool, notifier: NotifierProcess, sink: SinkServer, config: Path
) -> None:
    notifier.start()
    sink.answers["/alerts"].extend([410])
    pool.run_low()
    wait_until(lambda: len(listed(config)) == 1)
    command = [sys.executable, "-m", "dialbridge", "enterprise", "set", "acme"]
    done = subprocess.run(
        [*command, f"alerts_sink={sink.root}/better", "--config", str(config)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pool.run_low()
    sink.wait_for("/better", 1)
    assert len(sink.at("/alerts")) == 1


def test_the_erasure_of_a_call_leaves_the_alert(
    pool: Pool, notifier: NotifierProcess, sink: SinkServer, config: Path
) -> None:
    notifier.start()
    sink.answers["/alerts"].extend([410])
    pool.fill(6)
    call_id = pool.talk(299)
    wait_until(lambda: len(listed(config)) == 1)
    command = [sys.executable, "-m", "dialbridge", "erase", "call", call_id, "--config", str(config)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(listed(config)) == 1


def test_a_sink_that_is_no_place_for_events_is_refused(redis_url: str, prefix: str, tmp_path: Path) -> None:
    config = configured(tmp_path, redis_url, prefix, insecure=False)
    process = ApiProcess(config)
    process.start()
    try:
        with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
            admin = Administered(http, process)
            for sink in (
                "http://alerts.example/x",
                "https://10.0.0.1/x",
                "https://localhost/x",
                "https://user:secret@alerts.example/x",
                "ftp://alerts.example/x",
            ):
                answer = admin.ask("PATCH", ACME, json={"alerts_sink": sink})
                assert_refused(answer, 400, "INVALID_ARGUMENT")
                assert answer.json()["message"].startswith("alerts_sink: ")
            assert admin.done("PATCH", ACME, json={"alerts_sink": "https://alerts.example/x"})
    finally:
        process.stop()


def test_one_that_the_settings_file_names_all_the_same_gets_nothing(
    pool: Pool, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    private = "https://10.0.0.1/x"
    notifier = NotifierProcess(configured(tmp_path, redis_url, prefix, insecure=False, alerts_sink=private))
    notifier.start()
    try:
        pool.run_low()
        wait_until(lambda: "pool_is_low" in notifier.log())
        pool.wait_until_told()
    finally:
        notifier.stop()
    assert "alerts_sink_refused" in notifier.log()
    assert "event_" not in notifier.log()
