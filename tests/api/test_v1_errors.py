"""The error table of the older generation: what causes each of its rows."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx2
import pytest

from api.v1_results import Refusal
from state.call import RecordingResult
from state.connection import connect
from state.embedded import EmbeddedRedis
from state.keys import Keys
from tests.api.configuration import BLACKLISTED, SECRET, UNRECORDED
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess
from tests.api.tokens_made import make_token
from tests.api.v1_platform import FURTHER_NUMBER, MEMBER, V1, V1Platform, answer_of, fresh, write_v1_config

INVALID_INPUT = 400, "0000002", "Invalid Input Value"
USER_NOT_EXIST = 400, "0001001", "User Not Exist"
PASSWORD_ERROR = 400, "0001003", "Password Error"
AUTHENTICATION_FAILURE = 400, "0001004", "Authentication Failure"
USER_IN_BLACKLIST = 400, "0001008", "User In Blacklist"
NUMBER_FORMAT_ERROR = 400, "1001001", "Number Format Error"
CALL_ID_ERROR = 400, "1001002", "Call ID Error"
OPERATION_ERROR = 400, "1001003", "Operation Error"
DIRECTION_ERROR = 400, "1001004", "Direction Error"
USER_STATUS_ERROR = 403, "0001002", "User Status Error"
TRAFFIC_CONTROL_FAILURE = 403, "0001002", "Traffic Control Failure"
INTERNAL_SERVICE_ERROR = 500, "0000001", "Internal Service Error"
ENGINES_RETURN_ERROR = 500, "1000002", "Engines Return Error"
ENGINE_TIMEOUT = 504, "1000001", "Engine Timeout"

BEGIN = f"{V1}/clicktodialbegin"
ISSUER = "http://127.0.0.1:9091"


def basic(client_id: str, secret: str) -> dict[str, str]:
    """RFC 6749, section 2.3.1."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def test_the_table_is_the_document_s() -> None:
    assert [one.value for one in Refusal] == [
        INVALID_INPUT,
        USER_NOT_EXIST,
        PASSWORD_ERROR,
        AUTHENTICATION_FAILURE,
        USER_IN_BLACKLIST,
        NUMBER_FORMAT_ERROR,
        CALL_ID_ERROR,
        OPERATION_ERROR,
        DIRECTION_ERROR,
        USER_STATUS_ERROR,
        TRAFFIC_CONTROL_FAILURE,
        INTERNAL_SERVICE_ERROR,
        ENGINES_RETURN_ERROR,
        ENGINE_TIMEOUT,
    ]


# --- 1: 0000002


@pytest.mark.parametrize(
    "changes",
    [{"extra": 1}, {"caller": 5}, {"callee": None}, {"sponsor": ["02079460000"]}, {"recordingEnabled": True}],
    ids=repr,
)
def test_an_unknown_or_wrongly_typed_property(v1: V1Platform, changes: dict[str, Any]) -> None:
    assert answer_of(v1.begin(**changes)) == INVALID_INPUT


@pytest.mark.parametrize("missing", ["sponsor", "caller", "callee"])
def test_a_missing_property(v1: V1Platform, missing: str) -> None:
    body = {"sponsor": "02079460000", "caller": fresh(), "callee": fresh()}
    del body[missing]
    assert answer_of(v1.post("clicktodialbegin", body)) == INVALID_INPUT


@pytest.mark.parametrize("path", ["clicktodialbegin", "clicktodialrelease/x", "recordingdownload/x"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b" " * 100_000], ids=lambda c: repr(c[:4])
)
def test_a_body_that_is_no_request(v1: V1Platform, path: str, content: bytes) -> None:
    headers = {**v1.bearer(), "Content-Type": "application/json"}
    assert answer_of(v1.http.post(f"{V1}/{path}", content=content, headers=headers)) == INVALID_INPUT


def test_another_content_type(v1: V1Platform) -> None:
    headers = {**v1.bearer(), "Content-Type": "application/x-www-form-urlencoded"}
    assert answer_of(v1.http.post(BEGIN, content=b"{}", headers=headers)) == INVALID_INPUT


@pytest.mark.parametrize("operation", [5, None, ["EndCall"]])
def test_an_operation_of_another_type(v1: V1Platform, operation: Any) -> None:
    assert answer_of(v1.release(v1.begun(), operation)) == INVALID_INPUT


@pytest.mark.parametrize("result", [None, RecordingResult.NO_RECORD, RecordingResult.FAIL])
def test_a_recording_that_there_is_not(v1: V1Platform, result: RecordingResult | None) -> None:
    call_id = v1.begun()
    assert answer_of(v1.download(call_id, call_id)) == INVALID_INPUT, "while it is recorded"
    v1.engine.end(call_id, recording_result=result)
    assert answer_of(v1.download(call_id, call_id)) == INVALID_INPUT


def test_another_recording_id(v1: V1Platform) -> None:
    call_id = v1.begun()
    path = v1.store(call_id, b"RIFF")
    v1.engine.end(call_id, recording_result=RecordingResult.SUCCESS, recording_path=path)
    assert answer_of(v1.download(call_id, "20230101120001")) == INVALID_INPUT
    assert v1.download(call_id, call_id).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/calls", 404),
        ("POST", "/clicktodialbegin/", 404),
        ("POST", "/clicktodialrelease/a/b", 404),
        ("GET", "/clicktodialbegin", 405),
        ("DELETE", "/clicktodialrelease/x", 405),
    ],
)
def test_another_path_or_method(v1: V1Platform, method: str, path: str, status: int) -> None:
    answer = v1.http.request(method, V1 + path)
    assert answer_of(answer) == (status, *INVALID_INPUT[1:])
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


# --- 2: 0001001


def test_a_client_of_no_enterprise(v1: V1Platform) -> None:
    assert answer_of(v1.begin("stray")) == USER_NOT_EXIST


def test_an_unknown_client(v1: V1Platform) -> None:
    assert answer_of(v1.http.post(BEGIN, headers=basic("nobody", SECRET))) == USER_NOT_EXIST


@pytest.mark.parametrize("sponsor", ["02079460001", "442079460001", "447700900110"])
def test_a_sponsor_that_is_not_the_enterprise_s(v1: V1Platform, sponsor: str) -> None:
    assert answer_of(v1.begin(sponsor=sponsor)) == USER_NOT_EXIST


def test_a_caller_that_is_no_member(v1: V1Platform) -> None:
    assert answer_of(v1.begin("club")) == USER_NOT_EXIST
    assert v1.begin("club", caller=MEMBER.removeprefix("+44").zfill(11)).status_code == 200


# --- 3 and 4: 0001003, 0001004


def test_a_wrong_secret(v1: V1Platform) -> None:
    assert answer_of(v1.http.post(BEGIN, headers=basic("shop", "guess"))) == PASSWORD_ERROR
    body = {"sponsor": "02079460000", "caller": fresh(), "callee": fresh()}
    assert v1.post("clicktodialbegin", body, basic("shop", SECRET)).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer x.y.z", "Basic", "Basic !", "Basic c2hvcA==", "Digest username=shop"],
)
@pytest.mark.parametrize("path", ["clicktodialbegin", "clicktodialrelease/x", "recordingdownload/x"])
def test_nobody_in_particular(v1: V1Platform, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert answer_of(v1.http.post(f"{V1}/{path}", content=b"{", headers=headers)) == AUTHENTICATION_FAILURE


def test_an_expired_token(v1: V1Platform) -> None:
    key = v1.signing_key
    for claims, expected in (({"exp": 1}, AUTHENTICATION_FAILURE), ({"client_id": "nobody"}, USER_NOT_EXIST)):
        headers = {"Authorization": f"Bearer {make_token(key, ISSUER, **claims)}"}
        assert answer_of(v1.post("clicktodialbegin", {}, headers)) == expected


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("clicktodialbegin", "click-to-dial:calls:read click-to-dial:calls:delete"),
        ("clicktodialrelease/x", "click-to-dial:calls:create click-to-dial:calls:read"),
        ("recordingdownload/x", "click-to-dial:calls:create click-to-dial:calls:read"),
    ],
)
def test_a_token_without_the_scope(v1: V1Platform, path: str, scope: str) -> None:
    assert answer_of(v1.post(path, {}, v1.bearer(scope=scope))) == AUTHENTICATION_FAILURE


def test_a_token_of_another_caller(v1: V1Platform) -> None:
    token = make_token(v1.signing_key, ISSUER, phone_number="+447700900111")
    headers = {"Authorization": f"Bearer {token}"}
    body = {"sponsor": "02079460000", "caller": fresh(), "callee": fresh()}
    assert answer_of(v1.post("clicktodialbegin", body, headers)) == AUTHENTICATION_FAILURE
    assert v1.post("clicktodialbegin", {**body, "caller": "07700900111"}, headers).status_code == 200


# --- 5 to 9: numbers, calls, operations


@pytest.mark.parametrize("who", ["caller", "callee"])
@pytest.mark.parametrize("written", [BLACKLISTED, BLACKLISTED[1:], BLACKLISTED.replace("+44", "0")])
def test_a_number_on_the_blacklist(v1: V1Platform, who: str, written: str) -> None:
    assert answer_of(v1.begin(**{who: written})) == USER_IN_BLACKLIST


def test_a_number_that_may_not_be_recorded_where_every_call_must_be(v1: V1Platform) -> None:
    assert answer_of(v1.begin("keeper", callee=UNRECORDED)) == USER_IN_BLACKLIST
    assert v1.begin("keeper").status_code == 200


@pytest.mark.parametrize("who", ["sponsor", "caller", "callee"])
@pytest.mark.parametrize("number", ["", "abc", "+44 7700900001", "tel:447700900001", "1", "4" * 18])
def test_what_is_no_number(v1: V1Platform, who: str, number: str) -> None:
    assert answer_of(v1.begin(**{who: number})) == NUMBER_FORMAT_ERROR


def test_a_national_number_without_a_home_country(v1: V1Platform) -> None:
    assert answer_of(v1.begin("globex", caller="07700900001")) == NUMBER_FORMAT_ERROR
    assert v1.begin("globex", caller="447700900001").status_code == 200


@pytest.mark.parametrize("call_id", ["A010B020", "a%20b", "a%2Fb", "%C3%A4", "x" * 257])
def test_an_unknown_or_malformed_call_id(v1: V1Platform, call_id: str) -> None:
    assert answer_of(v1.release(call_id)) == CALL_ID_ERROR
    assert answer_of(v1.release(call_id, "Continue")) == CALL_ID_ERROR
    assert answer_of(v1.download(call_id, "20230101120001")) == CALL_ID_ERROR


def test_a_call_of_somebody_else(v1: V1Platform) -> None:
    call_id = v1.begun()
    assert answer_of(v1.release(call_id, headers=v1.bearer("globex"))) == CALL_ID_ERROR
    assert v1.release(call_id, "Continue").status_code == 200


@pytest.mark.parametrize("operation", ["", "endcall", "Hold", "EndCall "])
def test_an_unknown_operation(v1: V1Platform, operation: str) -> None:
    assert answer_of(v1.release(v1.begun(), operation)) == OPERATION_ERROR


@pytest.mark.parametrize("operation", ["EndCall", "Continue"])
def test_an_operation_on_a_call_that_has_ended(v1: V1Platform, operation: str) -> None:
    call_id = v1.begun()
    v1.engine.end(call_id)
    assert answer_of(v1.release(call_id, operation)) == OPERATION_ERROR


def test_a_call_to_oneself(v1: V1Platform) -> None:
    assert answer_of(v1.begin(caller="07700900001", callee="447700900001")) == DIRECTION_ERROR


# --- 10 and 11: 0001002


def test_a_suspended_enterprise(v1: V1Platform) -> None:
    v1.suspend("late")
    assert answer_of(v1.begin("late")) == USER_STATUS_ERROR


def test_too_many_calls(v1: V1Platform) -> None:
    assert answer_of(v1.begin("busy")) == TRAFFIC_CONTROL_FAILURE


def test_calls_that_come_too_fast(v1: V1Platform) -> None:
    answers = [v1.begin("hasty") for _ in range(2)]
    assert answers[0].status_code == 200
    assert answer_of(answers[1]) == TRAFFIC_CONTROL_FAILURE
    assert int(answers[1].headers["retry-after"]) > 0


def test_a_second_call_of_the_same_pair(v1: V1Platform) -> None:
    pair = {"caller": "07700900201", "callee": "07700900202"}
    v1.begun(**pair)
    assert answer_of(v1.begin(**pair)) == TRAFFIC_CONTROL_FAILURE
    in_camara = {"caller": {"number": "+447700900201"}, "callee": {"number": "+447700900202"}}
    assert v1.camara("POST", "", in_camara).status_code == 409


# --- 12 to 14: the platform itself


def test_what_nobody_expected(v1: V1Platform) -> None:
    call_id = v1.begun()

    async def damage() -> None:
        async with connect(v1.redis_url) as redis:
            await redis.hset(Keys(v1.prefix).call(call_id), "created_at", "damaged-record")

    v1.engine.run(damage())
    answer = v1.release(call_id)
    assert answer_of(answer) == INTERNAL_SERVICE_ERROR
    assert answer.headers["x-correlator"] in v1.process.log()
    assert "Traceback" in v1.process.log()


def alone(config: Path, use: Callable[[V1Platform], None], engine: PlayedEngine, redis_url: str) -> None:
    """With an api of one's own."""
    process = ApiProcess(config)
    process.start()
    try:
        with httpx2.Client(base_url=process.root, trust_env=False, timeout=30) as http:
            use(V1Platform(process, http, engine, config.parent, redis_url, ""))
    finally:
        process.stop()


def test_an_application_where_no_sink_may_be(
    engine: PlayedEngine, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    enterprise = {"id": "acme", "number": FURTHER_NUMBER, "callers": "anyone"}
    enterprise["v1"] = {"app_server": "https://10.0.0.1"}  # type: ignore[assignment]
    clients = [{"id": "shop", "secret": SECRET, "enterprise": "acme"}]
    config = write_v1_config(
        tmp_path,
        redis_url,
        prefix,
        enterprises=[enterprise],
        clients=clients,
        notifier={"allow_insecure_sinks": False},
    )

    def use(platform: V1Platform) -> None:
        assert answer_of(platform.begin(sponsor=FURTHER_NUMBER)) == INTERNAL_SERVICE_ERROR
        assert "app_server_unusable" in platform.process.log()

    alone(config, use, engine, redis_url)


def test_engines_without_room(redis_url: str, prefix: str, tmp_path: Path) -> None:
    engine = PlayedEngine(redis_url, prefix, capacity=1)
    engine.start()

    def use(platform: V1Platform) -> None:
        call_id = platform.begun()
        assert answer_of(platform.begin()) == ENGINES_RETURN_ERROR
        assert platform.release(call_id).status_code == 200
        platform.begun()

    alone(write_v1_config(tmp_path, redis_url, prefix), use, engine, redis_url)
    engine.stop()


def test_engines_that_cannot_record(redis_url: str, prefix: str, tmp_path: Path) -> None:
    engine = PlayedEngine(redis_url, prefix, can_record=False)
    engine.start()

    def use(platform: V1Platform) -> None:
        assert answer_of(platform.begin()) == ENGINES_RETURN_ERROR
        assert platform.begin(callee=UNRECORDED).status_code == 200, "this one is not to be recorded"

    alone(write_v1_config(tmp_path, redis_url, prefix), use, engine, redis_url)
    engine.stop()


def test_an_engine_that_does_not_end_the_call(v1: V1Platform) -> None:
    call_id = v1.begun()
    v1.engine.ignored.add(call_id)
    assert answer_of(v1.release(call_id)) == ENGINE_TIMEOUT


def test_redis_out_of_reach(prefix: str, tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "redis")
    redis.start()
    engine = PlayedEngine(redis.url, prefix)
    engine.start()

    def use(platform: V1Platform) -> None:
        headers = platform.bearer()
        engine.die()
        redis.stop()
        body = {"sponsor": "02079460000", "caller": fresh(), "callee": new_number()}
        assert answer_of(platform.post("clicktodialbegin", body, headers)) == ENGINE_TIMEOUT
        assert answer_of(platform.release("A010B020", headers=headers)) == ENGINE_TIMEOUT

    alone(write_v1_config(tmp_path, redis.url, prefix), use, engine, redis.url)
    engine.stop(retire=False)
