"""`dialbridge dead-letters`: what was not delivered, listed and sent again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from state.call import Call, DisconnectionReason
from state.connection import connect
from state.keys import Keys
from tests.api.configuration import write_config
from tests.api.played_engine import PlayedEngine
from tests.api.processes import NotifierProcess
from tests.api.sink_server import SinkServer
from tests.support.waiting import wait_until


@pytest.fixture
def config(redis_url: str, prefix: str, tmp_path: Path) -> Path:
    return write_config(tmp_path, redis_url, prefix)


def run(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dialbridge", "dead-letters", *arguments, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def listed(config: Path, *call_ids: str) -> list[dict[str, Any]]:
    done = run(config, "list", *call_ids)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused_calls(engine: PlayedEngine, sink: SinkServer, config: Path, *paths: str) -> list[Call]:
    """A call of two events for each path, whose sink answered 410 to the first."""
    calls = []
    for path in paths:
        sink.answers[path].extend([410])
        calls.append(engine.create(sink=f"{sink.root}{path}"))
    wait_until(lambda: len(listed(config)) == len(paths))
    for call in calls:
        engine.end(call.id, DisconnectionReason.CALLER_BUSY)
    return calls


def test_dead_letters_are_listed_with_their_reason_and_without_numbers(
    engine: PlayedEngine, sink: SinkServer, notifier: NotifierProcess, config: Path
) -> None:
    notifier.start()
    first, second = refused_calls(engine, sink, config, "/one", "/two")
    letters = listed(config)
    assert [(letter["state"], letter["reason"]) for letter in letters] == [
        ("initiating", "refused"),
        ("initiating", "refused"),
        ("disconnected", "refused"),
        ("disconnected", "refused"),
    ]
    assert {letter["call_id"] for letter in letters} == {first.id, second.id}
    assert [letter["call_id"] for letter in listed(config, first.id)] == [first.id, first.id]
    events = engine.run(engine.calls.events(first.id))
    assert [letter["event_id"] for letter in listed(config, first.id)] == [event.id for event in events]
    assert first.caller not in run(config, "list").stdout


def test_those_of_one_call_are_sent_again_in_order_with_their_ids(
    engine: PlayedEngine, sink: SinkServer, notifier: NotifierProcess, config: Path
) -> None:
    notifier.start()
    first, second = refused_calls(engine, sink, config, "/one", "/two")
    done = run(config, "resend", first.id)
    assert (done.returncode, done.stderr.strip()) == (0, "2 events on their way")
    received = sink.wait_for("/one", 3)
    assert [one.state for one in received] == ["initiating", "initiating", "disconnected"]
    assert received[0].event == received[1].event
    assert {letter["call_id"] for letter in listed(config)} == {second.id}
    assert len(sink.at("/two")) == 1


def test_a_call_that_goes_on_is_reported_again_after_a_resend(
    engine: PlayedEngine, sink: SinkServer, notifier: NotifierProcess, config: Path
) -> None:
    notifier.start()
    sink.answers["/one"].extend([410])
    call = engine.create(sink=f"{sink.root}/one")
    wait_until(lambda: len(listed(config)) == 1)
    assert run(config, "resend").returncode == 0
    sink.wait_for("/one", 2)
    engine.end(call.id, DisconnectionReason.CALLER_BUSY)
    assert [one.state for one in sink.wait_for("/one", 3)] == ["initiating", "initiating", "disconnected"]
    assert listed(config) == []


def test_what_has_lost_its_call_stays_and_is_said(
    engine: PlayedEngine,
    sink: SinkServer,
    notifier: NotifierProcess,
    config: Path,
    redis_url: str,
    prefix: str,
) -> None:
    notifier.start()
    (call,) = refused_calls(engine, sink, config, "/one")

    async def expire() -> None:
        async with connect(redis_url) as redis:
            await redis.delete(Keys(prefix).call(call.id))

    engine.run(expire())
    done = run(config, "resend")
    assert done.returncode == 1
    assert "2 events stay dead letters" in done.stderr
    assert len(listed(config)) == 2


def test_without_redis_there_is_one_sentence(tmp_path: Path) -> None:
    config = write_config(tmp_path, f"unix://{tmp_path}/nobody.sock", "none")
    done = run(config, "list")
    assert done.returncode == 1
    assert done.stderr.startswith("dialbridge: Redis cannot be reached")
    assert done.stdout == ""
