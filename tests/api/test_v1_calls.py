"""The older generation's operations, and calls that one generation places and the other one handles."""

from __future__ import annotations

import base64
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
from redis.exceptions import ResponseError

from state.audit import AuditLog
from state.call import CallState, RecordingResult, utc_now
from state.connection import connect
from state.keys import Keys
from tests.api.camara_schemas import validate
from tests.api.configuration import UNRECORDED
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess
from tests.api.test_recordings import forget_peak, peak_memory
from tests.api.v1_platform import (
    ENTERPRISES,
    FURTHER_NUMBER,
    NUMBER,
    V1,
    V1Platform,
    answer_of,
    fresh,
    write_v1_config,
)

LONG_AGO, DAY = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=1)
SUCCESS = {"code": "0000000", "description": "Success"}


def recorded(v1: V1Platform, call_id: str, content: bytes) -> None:
    path = v1.store(call_id, content)
    v1.engine.end(call_id, recording_result=RecordingResult.SUCCESS, recording_path=path)


def in_camara(v1: V1Platform, **changes: Any) -> str:
    """The id of a call that the newer generation places."""
    body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}, **changes}
    answer = v1.camara("POST", "", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["callId"])


def test_a_call_begins(v1: V1Platform) -> None:
    answer = v1.begin(sponsor="02079460009", caller="07700900301", callee="8613912345673")
    assert answer.status_code == 200
    call_id = answer.json()["result"]["callidentifier"]
    assert answer.json() == {**SUCCESS, "result": {"callidentifier": call_id}}
    call = v1.engine.record(call_id)
    assert (call.caller, call.callee) == ("+447700900301", "+8613912345673")
    assert call.presented_number == FURTHER_NUMBER
    assert (call.client_id, call.enterprise_id, call.generation) == ("shop", "acme", "v1")
    assert (call.recording_enabled, call.sink) == (True, None)
    assert call.correlator == answer.headers["x-correlator"]


@pytest.mark.parametrize("sponsor", ["02079460000", "442079460000", "00442079460000", NUMBER])
def test_the_sponsor_may_be_written_in_any_way(v1: V1Platform, sponsor: str) -> None:
    assert v1.engine.record(v1.begun(sponsor=sponsor)).presented_number == NUMBER


def test_ids_are_short_and_all_different(v1: V1Platform) -> None:
    ids = [v1.begun() for _ in range(50)]
    assert len(set(ids)) == 50
    for call_id in ids:
        assert re.fullmatch("[2-9A-HJ-NP-Z]{12}", call_id)
    # Each place varies: none of them is a clock or a counter.
    assert all(len({call_id[place] for call_id in ids}) > 10 for place in range(12))


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_number_that_may_not_be_recorded_is_called_without(v1: V1Platform, who: str) -> None:
    assert not v1.engine.record(v1.begun(**{who: UNRECORDED})).recording_enabled


@pytest.mark.parametrize(
    ("profile", "enabled"),
    [
        ({"v1": {"recording": True}, "recording": "never"}, False),
        ({"v1": {"recording": False}, "recording": "always"}, True),
        ({"v1": {"recording": False}}, False),
        ({}, False),
    ],
)
def test_the_enterprise_says_what_is_recorded(
    engine: PlayedEngine,
    redis_url: str,
    prefix: str,
    tmp_path: Path,
    profile: dict[str, Any],
    enabled: bool,
) -> None:
    without = {name: value for name, value in ENTERPRISES[0].items() if name != "v1"}
    others = [one for one in ENTERPRISES if one["id"] != "acme"]
    config = write_v1_config(tmp_path, redis_url, prefix, enterprises=[{**without, **profile}, *others])
    process = ApiProcess(config)
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False) as http:
        call_id = V1Platform(process, http, engine, tmp_path, redis_url, prefix).begun()
    process.stop()
    assert engine.record(call_id).recording_enabled is enabled


def test_a_correlator_off_the_pattern_is_replaced(v1: V1Platform) -> None:
    headers = {**v1.bearer(), "x-correlator": "not allowed"}
    body = {"sponsor": "02079460000", "caller": fresh(), "callee": fresh()}
    answer = v1.post("clicktodialbegin", body, headers)
    assert answer.status_code == 200
    assert len(answer.headers["x-correlator"]) == 36


def test_continue_leaves_the_call_as_it_is(v1: V1Platform) -> None:
    call_id = v1.begun()
    v1.engine.connect(call_id)
    before = v1.engine.record(call_id)
    answer = v1.release(call_id, "Continue")
    assert (answer.status_code, answer.json()) == (200, SUCCESS)
    assert v1.engine.record(call_id) == before


def test_end_call_ends_it(v1: V1Platform) -> None:
    call_id = v1.begun()
    answer = v1.release(call_id)
    assert (answer.status_code, answer.json()) == (200, SUCCESS)
    assert v1.engine.record(call_id).state is CallState.DISCONNECTED


@pytest.mark.parametrize("size", [0, 1, 44, 3 * 64 * 1024, 1_000_001])
def test_a_recording_is_downloaded_whole(v1: V1Platform, size: int) -> None:
    content, call_id = os.urandom(size), v1.begun()
    recorded(v1, call_id, content)
    answer = v1.download(call_id, call_id)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    body = answer.json()
    assert base64.b64decode(body.pop("filedata"), validate=True) == content
    assert body == SUCCESS


def test_a_large_recording_is_never_whole_in_memory(v1: V1Platform) -> None:
    """200 MB, sparse: it costs no disk."""
    call_id, size = v1.begun(), 200_000_000
    recorded(v1, call_id, b"RIFF")
    os.truncate(v1.folder / "recordings" / v1.store(call_id, b"RIFF"), size)
    forget_peak(v1.process.pid)
    before = peak_memory(v1.process.pid)
    url, body = f"{V1}/recordingdownload/{call_id}", {"recordingId": call_id}
    with v1.http.stream("POST", url, json=body, headers=v1.bearer(), timeout=60) as answer:
        assert answer.status_code == 200
        received = sum(len(chunk) for chunk in answer.iter_bytes())
    assert received > size * 4 / 3
    assert peak_memory(v1.process.pid) - before < 50_000_000


def test_a_download_is_audited(v1: V1Platform) -> None:
    call_id = v1.begun()
    recorded(v1, call_id, b"RIFF")
    assert v1.download(call_id, "another").status_code == 400
    assert v1.download(call_id, call_id).status_code == 200

    async def entries() -> list[str]:
        async with connect(v1.redis_url) as redis:
            log = AuditLog(redis, Keys(v1.prefix), retention_days=1)
            return [
                f"{one.action} {one.actor} {one.detail}"
                async for one in log.between(LONG_AGO, utc_now() + DAY)
                if one.subject == call_id
            ]

    assert v1.engine.run(entries()) == ["recording.read shop recordingdownload"]


def test_the_document_s_optional_attribute_of_the_request_says_nothing(v1: V1Platform) -> None:
    call_id = v1.begun()
    recorded(v1, call_id, b"RIFF")
    body = {"recordingId": call_id, "filedata": ""}
    assert v1.post(f"recordingdownload/{call_id}", body).json()["filedata"] == "UklGRg=="


# --- across the generations


def test_a_call_of_the_older_generation_in_the_newer_one(v1: V1Platform) -> None:
    call_id = v1.begun(caller="07700900311")
    seen = v1.camara("GET", f"/{call_id}")
    assert seen.status_code == 200
    validate("Call", seen.json())
    assert (seen.json()["callId"], seen.json()["caller"]) == (call_id, {"number": "+447700900311"})
    recorded(v1, call_id, b"RIFF1234")
    recording = v1.camara("GET", f"/{call_id}/recording")
    validate("RecordingResource", recording.json())
    assert recording.json()["content"] == v1.download(call_id, call_id).json()["filedata"]

    other = v1.begun()
    assert v1.camara("DELETE", f"/{other}").status_code == 204
    assert answer_of(v1.release(other)) == (400, "1001003", "Operation Error")


def test_a_call_of_the_newer_generation_in_the_older_one(v1: V1Platform) -> None:
    call_id = in_camara(v1, recordingEnabled=True)
    assert v1.release(call_id, "Continue").json() == SUCCESS
    recorded(v1, call_id, b"RIFF1234")
    assert base64.b64decode(v1.download(call_id, call_id).json()["filedata"]) == b"RIFF1234"

    other = in_camara(v1)
    assert v1.release(other).json() == SUCCESS
    assert v1.camara("GET", f"/{other}").json()["status"] == "disconnected"


def test_an_id_is_never_given_twice(v1: V1Platform) -> None:
    call_id = v1.begun()
    before = v1.engine.record(call_id)
    with pytest.raises(ResponseError, match="a call of this id exists"):
        v1.engine.create(id=call_id)
    assert v1.engine.record(call_id) == before


# --- the served document


def test_answers_are_as_the_served_document_says(v1: V1Platform) -> None:
    document = v1.http.get(f"{V1}/openapi.json").json()
    call_id = v1.begun()
    recorded(v1, call_id, b"RIFF")
    answers = {
        "/clicktodialbegin": [v1.begin(), v1.begin(caller="x"), v1.begin("busy")],
        "/clicktodialrelease/{callidentifier}": [v1.release(v1.begun()), v1.release("unknown")],
        "/recordingdownload/{callidentifier}": [v1.download(call_id, call_id), v1.download(call_id, "x")],
    }
    assert set(document["paths"]) == set(answers)
    assert document["servers"] == [{"url": V1}]
    for path, given in answers.items():
        operation = document["paths"][path]["post"]
        assert set(operation["responses"]) == {"200", "400", "403", "500", "504", "default"}
        for answer in given:
            content = operation["responses"][str(answer.status_code)]["content"]
            schema = {**content["application/json"]["schema"], "components": document["components"]}
            jsonschema.validate(answer.json(), schema)
    assert V1 not in v1.http.get("/openapi.json").text
