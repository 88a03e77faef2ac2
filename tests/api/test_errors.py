"""One row per way a request can be refused; each body validated against CAMARA's documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from state.connection import connect
from state.keys import Keys
from tests.api.camara_schemas import validate_error
from tests.api.configuration import BLACKLISTED, UNRECORDED
from tests.api.conftest import BASE_PATH, Platform
from tests.api.played_engine import new_number

CALLS = f"{BASE_PATH}/calls"
CREDENTIAL = {
    "credentialType": "ACCESSTOKEN",
    "accessToken": "token",
    "accessTokenExpiresUtc": "2030-01-01T00:00:00Z",
    "accessTokenType": "bearer",
}
SINK = "http://127.0.0.1:9/sink"


def without(key: str) -> dict[str, str]:
    return {name: value for name, value in CREDENTIAL.items() if name != key}


INVALID_BODIES: list[tuple[str, dict[str, Any]]] = [
    ("extra", {"extra": 1}),
    ("extra", {"extra": None}),
    ("caller.extra", {"caller": {"number": "+442012345678", "extra": 1}}),
    ("callee.name", {"callee": {"number": "+442012345678", "name": "x"}}),
    ("sinkCredential.extra", {"sink": SINK, "sinkCredential": {**CREDENTIAL, "extra": ""}}),
    ("caller.number", {"caller": {}}),
    ("caller.number", {"caller": {"number": 442012345678}}),
    ("caller.number", {"caller": {"number": ["+442012345678"]}}),
    ("number", {"caller": {"number": None}}),
    ("caller", {"caller": "+442012345678"}),
    ("caller", {"caller": [{"number": "+442012345678"}]}),
    ("callee", {"callee": None}),
    ("recordingEnabled", {"recordingEnabled": "true"}),
    ("recordingEnabled", {"recordingEnabled": 1}),
    ("recordingEnabled", {"recordingEnabled": None}),
    ("sink", {"sink": 5}),
    ("sink", {"sink": None}),
    ("sink", {"sink": ""}),
    ("sink", {"sink": "not a uri"}),
    ("sink", {"sink": "/relative"}),
    ("sink", {"sink": "ftp://example.com/"}),
    ("sink", {"sink": "https://"}),
    ("sink", {"sink": "https:///path"}),
    ("sink", {"sink": "https://:443/"}),
    ("sink", {"sink": "https://user:secret@example.com/"}),
    ("sink", {"sink": "https://@example.com/"}),
    ("sink", {"sink": "https://example.com:99999/"}),
    ("sink", {"sink": "https://example.com/%zz"}),
    ("sink", {"sink": "https://example.com/a b"}),
    ("sink", {"sink": "https://example.com/a\r\nHost: b"}),
    ("sink", {"sink": "https://exämple.com/"}),
    ("sinkCredential", {"sinkCredential": CREDENTIAL}),
    ("sinkCredential", {"sink": SINK, "sinkCredential": None}),
    ("sinkCredential", {"sink": SINK, "sinkCredential": "token"}),
    ("credentialType", {"sink": SINK, "sinkCredential": {}}),
    ("credentialType", {"sink": SINK, "sinkCredential": {**CREDENTIAL, "credentialType": "PLAIN"}}),
    ("clientId", {"sink": SINK, "sinkCredential": {"credentialType": "PRIVATE_KEY_JWT"}}),
    ("accessToken", {"sink": SINK, "sinkCredential": without("accessToken")}),
    ("accessTokenExpiresUtc", {"sink": SINK, "sinkCredential": without("accessTokenExpiresUtc")}),
    ("accessTokenType", {"sink": SINK, "sinkCredential": without("accessTokenType")}),
    ("accessTokenType", {"sink": SINK, "sinkCredential": {**CREDENTIAL, "accessTokenType": "Bearer"}}),
    ("accessToken", {"sink": SINK, "sinkCredential": {**CREDENTIAL, "accessToken": "a\r\nX-Evil: 1"}}),
    ("accessToken", {"sink": SINK, "sinkCredential": {**CREDENTIAL, "accessToken": ""}}),
    ("accessToken", {"sink": SINK, "sinkCredential": {**CREDENTIAL, "accessToken": "tökén"}}),
    *(
        (
            "accessTokenExpiresUtc",
            {"sink": SINK, "sinkCredential": {**CREDENTIAL, "accessTokenExpiresUtc": at}},
        )
        for at in ("2030-01-01T00:00:00", "2030-01-01", "2030-13-01T00:00:00Z", "tomorrow", 1893456000, "")
    ),
]


@pytest.mark.parametrize(("named", "changes"), INVALID_BODIES)
def test_an_invalid_body_is_400_and_the_message_names_the_property(
    platform: Platform, named: str, changes: dict[str, Any]
) -> None:
    answer = platform.post(**changes)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_ARGUMENT"), answer.text
    validate_error(400, answer.json())
    assert named in answer.json()["message"]


@pytest.mark.parametrize(
    ("named", "changes"),
    [
        ("sink", {"sink": "https://example.com/" + "x" * 2048}),
        ("accessToken", {"sink": SINK, "sinkCredential": {**CREDENTIAL, "accessToken": "t" * 4097}}),
        (
            "clientId",
            {
                "sink": SINK,
                "sinkCredential": {
                    "credentialType": "PRIVATE_KEY_JWT",
                    "clientId": "c" * 129,
                    "tokenUri": SINK,
                },
            },
        ),
    ],
)
def test_a_text_longer_than_its_property_may_be_is_out_of_range(
    platform: Platform, named: str, changes: dict[str, Any]
) -> None:
    answer = platform.post(**changes)
    assert (answer.status_code, answer.json()["code"]) == (400, "OUT_OF_RANGE"), answer.text
    validate_error(400, answer.json())
    assert named in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"caller":{"number":"+442012345678"},}',
        b"\xff\xfe{}",
        b'{"caller":{"number":"\xc3\x28"}}',
        b'{"caller":{"number":"+442012345678"},"caller":{"number":"+442012345679"},'
        b'"callee":{"number":"+442012345670"}}',
        b'{"caller":{"number":NaN}}',
        b'{"caller":{"number":"+442012345671"},"callee":{"number":"+442012345670"},"sink":"https://x/\\ud800"}',
        b'{"\\ud800":1}',
        b"[" * 20000,
        b'{"a":' * 10000,
        b'{"caller":' + b"1" * 5000 + b"}",
        b" " * 100_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_is_no_valid_request_is_400(platform: Platform, body: bytes) -> None:
    headers = {**platform.bearer(), "Content-Type": "application/json"}
    answer = platform.http.post(CALLS, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_ARGUMENT"), answer.text
    validate_error(400, answer.json())


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""]
)
def test_another_content_type_is_415(platform: Platform, media_type: str) -> None:
    headers = {**platform.bearer(), "Content-Type": media_type}
    answer = platform.http.post(CALLS, content=b"{}", headers=headers)
    assert answer.status_code == 415
    validate_error(415, answer.json())


def test_a_parameter_of_the_content_type_does_not_matter(platform: Platform) -> None:
    headers = {**platform.bearer(), "Content-Type": "Application/JSON; charset=utf-8"}
    body = json.dumps({"caller": {"number": new_number()}, "callee": {"number": new_number()}})
    assert platform.http.post(CALLS, content=body.encode(), headers=headers).status_code == 201


GOOD = "+442012345678"
NUMBERS = [
    "",
    "442012345678",
    "+042012345678",
    "+4420",
    "+4420123456789012",
    "+44 2012345678",
    "+442012345678\n",
    "\n+442012345678",
    "+44201234567a",
    "+44\u0662\u066012345678",
    "++442012345678",
    "tel:+442012345678",
    "+" + "4" * 5000,
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: repr(number[:20]))
@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_number_off_the_pattern_is_422(platform: Platform, who: str, number: str) -> None:
    answer = platform.post(**{who: {"number": number}})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PHONE_NUMBER"), answer.text
    validate_error(422, answer.json())


@pytest.mark.parametrize("number", ["+12345", "+123456789012345"])
def test_the_shortest_and_the_longest_number_are_accepted(platform: Platform, number: str) -> None:
    assert platform.post(caller={"number": number}).status_code == 201


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("SAME_CALLER_CALLEE", {"caller": {"number": GOOD}, "callee": {"number": GOOD}}),
        ("CALLER_NOT_AVAILABLE", {"caller": {"number": BLACKLISTED}}),
        ("CALLEE_NOT_AVAILABLE", {"callee": {"number": BLACKLISTED}}),
        ("SAME_CALLER_CALLEE", {"caller": {"number": BLACKLISTED}, "callee": {"number": BLACKLISTED}}),
        ("RECORDING_NOT_SUPPORTED", {"caller": {"number": UNRECORDED}, "recordingEnabled": True}),
        ("RECORDING_NOT_SUPPORTED", {"callee": {"number": UNRECORDED}, "recordingEnabled": True}),
    ],
)
def test_policy_is_422(platform: Platform, code: str, changes: dict[str, Any]) -> None:
    answer = platform.post(**changes)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    validate_error(422, answer.json())


def test_a_number_that_may_not_be_recorded_may_be_called(platform: Platform) -> None:
    assert platform.post(callee={"number": UNRECORDED}).status_code == 201


@pytest.mark.parametrize(
    "call_id", ["a%20b", "a%2Fb", "%2F", "a%252Fb", "a+b", "x" * 257, "%C3%A4", "%FF", "a%0A"]
)
@pytest.mark.parametrize("rest", ["", "/recording"])
def test_a_malformed_call_id_is_400(platform: Platform, call_id: str, rest: str) -> None:
    answer = platform.http.get(f"{CALLS}/{call_id}{rest}", headers=platform.bearer())
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_ARGUMENT")
    validate_error(400, answer.json())
    assert "callId" in answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("call_id", ["unknown", "x" * 256, "a.b_c~d:e-f"])
def test_an_unknown_call_id_is_404(platform: Platform, method: str, call_id: str) -> None:
    answer = platform.http.request(method, f"{CALLS}/{call_id}", headers=platform.bearer())
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    validate_error(404, answer.json())


@pytest.mark.parametrize(
    "path", ["/", "/calls", CALLS + "/", f"{CALLS}/x/", f"{CALLS}/x/y", "/click-to-dial/v9/calls", "/docs"]
)
def test_an_unknown_path_is_404_with_the_same_body(platform: Platform, path: str) -> None:
    answer = platform.http.get(path)
    assert answer.status_code == 404
    validate_error(404, answer.json())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CALLS, "POST"),
        ("PUT", f"{CALLS}/x", "GET, DELETE"),
        ("DELETE", f"{CALLS}/x/recording", "GET, HEAD"),
        ("GET", "/oauth2/token", "POST"),
    ],
)
def test_another_method_is_405_and_names_the_right_ones(
    platform: Platform, method: str, path: str, allowed: str
) -> None:
    answer = platform.http.request(method, path)
    assert answer.status_code == 405
    validate_error(405, answer.json())
    assert answer.headers["allow"] == allowed


def test_401_comes_before_403_before_400_before_422(platform: Platform) -> None:
    def status(authorization: dict[str, str]) -> int:
        headers = {"Content-Type": "application/json", "x-correlator": "not allowed", **authorization}
        return platform.http.post(CALLS, content=b"{", headers=headers).status_code

    assert status({}) == 401
    assert status(platform.bearer(scope="click-to-dial:calls:read")) == 403
    assert status(platform.bearer()) == 400
    assert platform.post(caller={"number": "x"}, extra=1).status_code == 400


def test_what_nobody_expected_is_500_without_a_detail(platform: Platform, redis_url: str) -> None:
    call_id = platform.created()

    async def damage() -> None:
        async with connect(redis_url) as redis:
            await redis.hset(Keys("platform").call(call_id), "created_at", "damaged-record")

    platform.engine.run(damage())
    answer = platform.get(call_id)
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    validate_error(500, answer.json())
    assert "damaged" not in answer.text
    assert answer.headers["x-correlator"] in platform.process.log()
    assert "Traceback" in platform.process.log()


CORRELATOR = "b4333c46-49c0-4f62-80d7-f0ef930f1c46"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", CALLS, 400),
        ("GET", f"{CALLS}/unknown", 404),
        ("GET", f"{CALLS}/a%20b", 400),
        ("PUT", CALLS, 405),
        ("GET", "/nowhere", 404),
        ("GET", "/healthz", 200),
    ],
)
def test_the_correlator_is_on_every_answer(platform: Platform, method: str, path: str, status: int) -> None:
    headers = platform.bearer()
    given = platform.http.request(method, path, headers={**headers, "x-correlator": CORRELATOR})
    assert (given.status_code, given.headers["x-correlator"]) == (status, CORRELATOR)
    made = platform.http.request(method, path, headers=headers)
    assert len(made.headers["x-correlator"]) == 36
    assert platform.http.request(method, path).headers["x-correlator"]


@pytest.mark.parametrize("value", ["a b", "x" * 257, "ä", "a,b", 'a"b'])
def test_a_correlator_off_the_pattern_is_400_and_replaced(platform: Platform, value: str) -> None:
    headers = {**platform.bearer(), "x-correlator": value.encode("latin-1")}
    answer = platform.http.get(f"{CALLS}/unknown", headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_ARGUMENT")
    assert "x-correlator" in answer.json()["message"]
    assert len(answer.headers["x-correlator"]) == 36


def test_the_whole_range_of_the_correlator_is_echoed(platform: Platform) -> None:
    value = "azAZ09-_:;./<>{}" * 16
    answer = platform.http.get("/healthz", headers={"x-correlator": value})
    assert answer.headers["x-correlator"] == value
