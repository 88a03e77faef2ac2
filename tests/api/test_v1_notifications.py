"""What the application of the older generation is told, and what it has to answer."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from standardwebhooks import Webhook

from api.v1_notifications import notify_url
from state.call import Call, CallState, DisconnectionReason, RecordingResult, Transition, utc_now
from tests.api.configuration import SECRET
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess
from tests.api.sink_server import Received, SinkServer
from tests.api.v1_platform import NUMBER, V1Platform, write_v1_config
from tests.support.waiting import wait_until

TAKEN = b'{"code": "0000000", "description": "Success"}'
WEBHOOK_SECRET = f"whsec_{base64.b64encode(b's' * 24).decode()}"
TIME_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def path_of(call_id: str) -> str:
    return f"/clicktodial/v1/clicktodialstatusnotify/{call_id}"


def config(folder: Path, redis_url: str, prefix: str, app_server: str) -> Path:
    enterprise = {
        "id": "acme",
        "number": NUMBER,
        "home_country": "GB",
        "callers": "anyone",
        "webhook_secrets": [WEBHOOK_SECRET],
        "v1": {"app_server": app_server, "username": "platform", "password": "p:ß", "recording": True},
    }
    clients = [{"id": "shop", "secret": SECRET, "enterprise": "acme"}]
    return write_v1_config(folder, redis_url, prefix, enterprises=[enterprise], clients=clients)


@pytest.fixture
def running(
    redis_url: str, prefix: str, tmp_path: Path, sink: SinkServer
) -> Iterator[tuple[Path, NotifierProcess]]:
    """The settings, and a notifier with them."""
    path = config(tmp_path, redis_url, prefix, sink.root)
    process = NotifierProcess(path)
    process.start()
    yield path, process
    process.stop()


@pytest.fixture
def v1(
    running: tuple[Path, NotifierProcess], engine: PlayedEngine, redis_url: str, prefix: str
) -> Iterator[V1Platform]:
    process = ApiProcess(running[0])
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        yield V1Platform(process, http, engine, running[0].parent, redis_url, prefix)
    process.stop()


def begun(engine: PlayedEngine, sink: SinkServer, *answers: bytes, **fields: Any) -> Call:
    """A call whose application answers so, and then that it takes everything."""
    call_id = str(uuid4())
    sink.bodies[path_of(call_id)].extend([*answers, TAKEN])
    return engine.create(id=call_id, generation="v1", sink=notify_url(sink.root, call_id), **fields)


def told(sink: SinkServer, call_id: str, count: int) -> list[Received]:
    return sink.wait_for(path_of(call_id), count)


def statuses(received: list[Received]) -> list[str]:
    return [one.event["status"] for one in received]


def test_a_call_from_its_beginning_to_its_end(v1: V1Platform, sink: SinkServer) -> None:
    answer = v1.begin(sponsor="02079460000", caller="07700900401", callee="8613912345673")
    call_id = answer.json()["result"]["callidentifier"]
    sink.bodies[path_of(call_id)].append(TAKEN)
    v1.engine.connect(call_id)
    v1.engine.end(call_id, duration=7, recording_result=RecordingResult.SUCCESS, recording_path="x.wav")
    received = told(sink, call_id, 4)
    events = [one.event for one in received]
    for event, known in zip(events, v1.engine.run(v1.engine.calls.events(call_id))[1:], strict=True):
        assert TIME_STAMP.fullmatch(event["timeStamp"])
        assert event.pop("timeStamp")[:19] == known.at.isoformat()[:19]
    numbers = {"caller": "447700900401", "callee": "8613912345673"}
    assert events == [
        {**numbers, "status": "CallingCaller"},
        {**numbers, "status": "CallingCallee"},
        {**numbers, "status": "Connected"},
        {
            **numbers,
            "status": "Disconnected",
            "reason": "HangUp",
            "callDuration": 7,
            "recordingResult": "Success",
            "recordingId": call_id,
        },
    ]
    for one in received:
        assert one.headers["content-type"] == "application/json"
        login = "platform:p:ß".encode()
        assert one.headers["authorization"] == f"Basic {base64.b64encode(login).decode()}"
        assert one.headers["x-correlator"] == answer.headers["x-correlator"]
        Webhook(WEBHOOK_SECRET).verify(one.body, one.headers)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("hangUp", "HangUp"),
        ("callerBusy", "CallerBusy"),
        ("callerNoAnswer", "CallerNoAnswer"),
        ("callerFailure", "CallerFailure"),
        ("callerAbandon", "CallerAbandon"),
        ("calleeBusy", "CalleeBusy"),
        ("calleeNoAnswer", "CalleeNoAnswer"),
        ("calleeFailure", "CalleeFailure"),
        ("other", "Other"),
    ],
)
def test_each_reason(engine: PlayedEngine, sink: SinkServer, reason: str, word: str) -> None:
    call = begun(engine, sink)
    engine.end(call.id, DisconnectionReason(reason))
    (one,) = told(sink, call.id, 1)
    assert (one.event["status"], one.event["reason"], one.event["callDuration"]) == ("Disconnected", word, 0)
    assert not {"recordingResult", "recordingId"} & set(one.event)


def test_no_reason_is_forgotten() -> None:
    (mark,) = [mark for mark in test_each_reason.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {DisconnectionReason(reason) for reason, _ in mark.args[1]} == set(DisconnectionReason)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("result", "word"), [("success", "Success"), ("noRecord", "NoRecord"), ("fail", "Fail")]
)
def test_each_recording_result(engine: PlayedEngine, sink: SinkServer, result: str, word: str) -> None:
    call = begun(engine, sink, recording_enabled=True)
    engine.end(call.id, recording_result=RecordingResult(result))
    (one,) = told(sink, call.id, 1)
    assert (one.event["recordingResult"], one.event["recordingId"]) == (word, call.id)


@pytest.mark.usefixtures("running")
def test_a_call_that_failed_is_disconnected_for_another_reason(
    engine: PlayedEngine, sink: SinkServer
) -> None:
    call = begun(engine, sink)
    failed = Transition.to(CallState.FAILED, call_id=call.id, epoch=1, at=utc_now())
    engine.run(engine.calls.transition(failed))
    (one,) = told(sink, call.id, 1)
    assert (one.event["status"], one.event["reason"], one.event["callDuration"]) == (
        "Disconnected",
        "Other",
        0,
    )


@pytest.mark.usefixtures("running")
def test_it_is_sent_again_until_the_answer_has_the_code_of_success(
    engine: PlayedEngine, sink: SinkServer
) -> None:
    not_taken = [
        b"",
        b"{}",
        b"[]",
        b"OK",
        b'"0000000"',
        b'{"code": "0000001"}',
        b'{"code": 0}',
        b'{"code": null}',
        b"\xff",
        b"[" * 20_000,
        b'{"description": "' + b"x" * 1_000_000 + b'", "code": "0000000"}',  # longer than what is read
    ]
    call = begun(engine, sink, *not_taken)
    engine.connect(call.id)

    received = told(sink, call.id, len(not_taken) + 3)
    assert statuses(received) == ["CallingCaller"] * (len(not_taken) + 1) + ["CallingCallee", "Connected"]
    assert len({one.body for one in received[: len(not_taken) + 1]}) == 1


@pytest.mark.usefixtures("running")
def test_it_is_sent_again_when_the_status_is_no_success(engine: PlayedEngine, sink: SinkServer) -> None:
    call_id = str(uuid4())
    sink.answers[path_of(call_id)].extend([500, 404, 302, 503])
    sink.bodies[path_of(call_id)].append(TAKEN)
    engine.create(id=call_id, generation="v1", sink=notify_url(sink.root, call_id))
    engine.end(call_id)
    received = told(sink, call_id, 5)
    assert statuses(received) == ["Disconnected"] * 5
    assert len({one.headers["webhook-id"] for one in received}) == 1


def test_after_gone_nothing_more_of_the_call_is_sent(
    engine: PlayedEngine, sink: SinkServer, running: tuple[Path, NotifierProcess]
) -> None:
    call_id = str(uuid4())
    sink.answers[path_of(call_id)].append(410)
    engine.create(id=call_id, generation="v1", sink=notify_url(sink.root, call_id))
    engine.connect(call_id)
    wait_until(lambda: "event_refused_by_sink" in running[1].log(), what="the refusal")
    engine.end(call_id)
    other = begun(engine, sink)
    engine.end(other.id)
    told(sink, other.id, 1)
    assert statuses(sink.at(path_of(call_id))) == ["CallingCaller"]


def test_the_password_is_in_no_log(
    engine: PlayedEngine, sink: SinkServer, running: tuple[Path, NotifierProcess]
) -> None:
    call = begun(engine, sink, b"{}")
    engine.end(call.id)
    told(sink, call.id, 2)
    assert "code of success" in running[1].log()
    assert "p:ß" not in running[1].log()


def test_an_application_hears_nothing_of_calls_of_the_newer_generation(
    v1: V1Platform, sink: SinkServer
) -> None:
    body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
    silent = v1.camara("POST", "", body).json()["callId"]
    body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
    heard = v1.camara("POST", "", {**body, "sink": f"{sink.root}/events"}).json()["callId"]
    for call_id in (silent, heard):
        v1.engine.end(call_id)
    assert [one.state for one in sink.wait_for("/events", 2)] == ["initiating", "disconnected"]
    assert {one.path for one in sink.received} == {"/events"}
