"""POST, GET and DELETE of calls, as the OpenAPI document has them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from state.call import CallState, DisconnectionReason
from tests.api.camara_schemas import validate, validate_error
from tests.api.conftest import BASE_PATH, Platform
from tests.api.played_engine import new_number
from tests.support.waiting import wait_until

BASE_PATHS = ["/click-to-dial/v0.2", "/click-to-dial/vwip"]


@pytest.mark.parametrize("base_path", BASE_PATHS)
def test_a_call_lives_under_both_base_paths(platform: Platform, base_path: str) -> None:
    caller, callee = new_number(), new_number()
    created = platform.http.post(
        f"{base_path}/calls",
        json={"caller": {"number": caller}, "callee": {"number": callee}, "recordingEnabled": True},
        headers=platform.bearer(),
    )
    assert created.status_code == 201
    body = created.json()
    validate("Call", body)
    assert body["caller"] == {"number": caller}
    assert body["callee"] == {"number": callee}
    assert body["status"] == "initiating"
    assert body["recordingEnabled"] is True
    assert body["createdAt"].endswith("Z")
    assert datetime.fromisoformat(body["createdAt"]).tzinfo is not None
    assert created.headers["location"] == f"{base_path}/calls/{body['callId']}"

    read = platform.http.get(created.headers["location"], headers=platform.bearer())
    assert read.status_code == 200
    validate("Call", read.json())
    assert read.json() == body

    ended = platform.http.delete(created.headers["location"], headers=platform.bearer())
    assert (ended.status_code, ended.content) == (204, b"")
    after = platform.http.get(created.headers["location"], headers=platform.bearer()).json()
    assert after == {**body, "status": "disconnected"}


def test_recording_is_off_unless_asked_for(platform: Platform) -> None:
    assert platform.post().json()["recordingEnabled"] is False


def test_the_engine_gets_the_whole_call_but_for_the_sink(platform: Platform) -> None:
    call_id = platform.created(
        sink="http://127.0.0.1:1/sink?x=1",
        sinkCredential={
            "credentialType": "ACCESSTOKEN",
            "accessToken": "ya29.A0AR...exampletoken",
            "accessTokenExpiresUtc": "2020-01-01T00:00:00Z",
            "accessTokenType": "bearer",
        },
        recordingEnabled=True,
    )
    wait_until(lambda: call_id in platform.engine.dialled)
    call = platform.engine.record(call_id)
    assert call is not None
    secret = dict.fromkeys(("sink", "sink_token", "sink_token_expires_at"))
    assert platform.engine.dialled[call_id] == call.model_copy(update=secret)
    assert call.presented_number == "+442079460000"
    assert (call.client_id, call.enterprise_id) == ("shop", "acme")
    assert (call.sink, call.sink_token) == ("http://127.0.0.1:1/sink?x=1", "ya29.A0AR...exampletoken")
    assert call.recording_enabled
    assert platform.engine.states(call_id) == [CallState.INITIATING]


def test_get_follows_redis_through_every_state(platform: Platform) -> None:
    call_id = platform.created()
    for state in (CallState.CALLING_CALLER, CallState.CALLING_CALLEE, CallState.CONNECTED):
        platform.engine.advance(call_id, state)
        assert platform.get(call_id).json()["status"] == state
    platform.engine.end(call_id, DisconnectionReason.CALLEE_BUSY, duration=3)
    assert platform.get(call_id).json()["status"] == "disconnected"


def test_an_active_duplicate_is_refused_until_the_first_call_ends(platform: Platform) -> None:
    parties = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
    call_id = platform.created(**parties)
    refused = platform.post(**parties)
    assert refused.status_code == 409
    validate_error(409, refused.json())
    assert platform.created(caller=parties["callee"], callee=parties["caller"])
    assert platform.delete(call_id).status_code == 204
    assert platform.post(**parties).status_code == 201


def test_another_client_sees_nothing(platform: Platform) -> None:
    call_id = platform.created()
    for response in (platform.get(call_id, "rival"), platform.delete(call_id, "rival")):
        assert response.status_code == 404
        assert response.json()["code"] == "NOT_FOUND"
    assert platform.get(call_id).json()["status"] == "initiating"


def test_delete_of_an_ended_call_is_a_conflict(platform: Platform) -> None:
    call_id = platform.created()
    assert platform.delete(call_id).status_code == 204
    again = platform.delete(call_id)
    assert again.status_code == 409
    validate_error(409, again.json())
    assert again.json()["message"] == "The call has already ended."


def test_two_deletes_at_once_may_both_succeed_and_the_call_ends_once(platform: Platform) -> None:
    call_id = platform.created()
    with ThreadPoolExecutor(2) as pool:
        answers = [future.result() for future in [pool.submit(platform.delete, call_id) for _ in range(2)]]
    assert {answer.status_code for answer in answers} <= {204, 409}
    assert 204 in {answer.status_code for answer in answers}
    assert platform.engine.states(call_id) == [CallState.INITIATING, CallState.DISCONNECTED]


def test_delete_of_a_call_that_fails_meanwhile_promises_nothing(platform: Platform) -> None:
    call_id = platform.created()
    platform.engine.failing.add(call_id)
    assert platform.delete(call_id).status_code == 409
    assert platform.get(call_id).json()["status"] == "failed"


def test_delete_says_so_when_the_engine_does_not_end_the_call(platform: Platform) -> None:
    call_id = platform.created()
    platform.engine.ignored.add(call_id)
    answer = platform.delete(call_id)
    assert answer.status_code == 503
    validate_error(503, answer.json())
    assert answer.headers["retry-after"] == "1"
    assert platform.get(call_id).json()["status"] == "initiating"


def test_a_hundred_calls_at_once(platform: Platform) -> None:
    headers = platform.bearer()

    def create(_: int) -> int:
        body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
        return platform.http.post(f"{BASE_PATH}/calls", json=body, headers=headers).status_code

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(create, range(100))) == [201] * 100
