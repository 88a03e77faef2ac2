"""Sinks whose clients have an authorization server: the platform asks it for tokens (PRIVATE_KEY_JWT)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc.jwk import KeySet

from state.call import DisconnectionReason
from tests.api.conftest import Platform
from tests.api.played_engine import PlayedEngine
from tests.api.processes import NotifierProcess
from tests.api.sink_server import SinkServer
from tests.api.token_server import TokenServer
from tests.support.waiting import wait_until


@pytest.fixture
def issuer(notifier: NotifierProcess, tmp_path: Path) -> Iterator[TokenServer]:
    """Knows the key of the running notifier."""
    notifier.start()
    server = TokenServer()
    server.keys = KeySet.import_key_set({"keys": [json.loads((tmp_path / "sink-key.json").read_text())]})
    server.start()
    yield server
    server.stop()


def test_each_event_carries_a_token_and_one_is_enough(
    engine: PlayedEngine, sink: SinkServer, issuer: TokenServer
) -> None:
    for path in ("/one", "/two"):
        call = engine.create(sink=f"{sink.root}{path}", sink_client_id="us", sink_token_uri=issuer.uri)
        engine.end(call.id, DisconnectionReason.CALLER_BUSY)
    received = sink.wait_for("/one", 2) + sink.wait_for("/two", 2)
    assert {one.headers["authorization"] for one in received} == {"Bearer token-1"}
    (claims,) = issuer.assertions
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("us", "us", issuer.uri)
    assert claims["iat"] <= time.time() < claims["exp"] <= claims["iat"] + 60
    assert claims["jti"]


def test_each_client_id_has_a_token_of_its_own(
    engine: PlayedEngine, sink: SinkServer, issuer: TokenServer
) -> None:
    for client in ("us", "them"):
        engine.create(sink=f"{sink.root}/{client}", sink_client_id=client, sink_token_uri=issuer.uri)
    tokens = {sink.wait_for(f"/{client}", 1)[0].headers["authorization"] for client in ("us", "them")}
    assert tokens == {"Bearer token-1", "Bearer token-2"}


def test_a_token_that_the_sink_refuses_is_replaced(
    engine: PlayedEngine, sink: SinkServer, issuer: TokenServer
) -> None:
    sink.answers["/one"].extend([401])
    engine.create(sink=f"{sink.root}/one", sink_client_id="us", sink_token_uri=issuer.uri)
    received = sink.wait_for("/one", 2)
    assert [one.headers["authorization"] for one in received] == ["Bearer token-1", "Bearer token-2"]


def test_a_token_at_its_end_is_replaced(engine: PlayedEngine, sink: SinkServer, issuer: TokenServer) -> None:
    issuer.answers.append((200, {"access_token": "short", "token_type": "bearer", "expires_in": 5}))
    call = engine.create(sink=f"{sink.root}/one", sink_client_id="us", sink_token_uri=issuer.uri)
    sink.wait_for("/one", 1)
    engine.end(call.id, DisconnectionReason.CALLER_BUSY)
    received = sink.wait_for("/one", 2)
    assert [one.headers["authorization"] for one in received] == ["Bearer short", "Bearer token-1"]


@pytest.mark.parametrize(
    "answer",
    [
        (401, {"error": "invalid_client"}),
        (200, {"token_type": "Bearer", "expires_in": 3600}),
        (200, {"access_token": "a\r\nX-Injected: 1", "token_type": "Bearer"}),
        (200, {"access_token": "mac", "token_type": "mac"}),
        (200, {"access_token": "a", "token_type": "Bearer", "expires_in": "never"}),
        (200, {"access_token": "a" * 100_000, "token_type": "Bearer"}),
    ],
    ids=["refused", "without", "injection", "other-type", "no-number", "huge"],
)
def test_without_a_usable_token_nothing_is_sent_until_there_is_one(
    engine: PlayedEngine,
    sink: SinkServer,
    issuer: TokenServer,
    notifier: NotifierProcess,
    answer: tuple[int, dict[str, object]],
) -> None:
    issuer.answers.extend([answer, answer])
    engine.create(sink=f"{sink.root}/one", sink_client_id="us", sink_token_uri=issuer.uri)
    received = sink.wait_for("/one", 1)
    assert [one.headers["authorization"] for one in received] == ["Bearer token-1"]
    assert issuer.answers == []
    assert notifier.log().count("token endpoint: ") == 2
    assert "token-1" not in notifier.log()


def test_the_credential_is_kept_and_its_keys_are_published(platform: Platform, sink: SinkServer) -> None:
    credential = {
        "credentialType": "PRIVATE_KEY_JWT",
        "clientId": "us",
        "tokenUri": "http://127.0.0.1:1/token",
    }
    call_id = platform.created(sink=f"{sink.root}/one", sinkCredential=credential)
    record = platform.engine.record(call_id)
    assert (record.sink_client_id, record.sink_token_uri) == ("us", "http://127.0.0.1:1/token")
    wait_until(lambda: call_id in platform.engine.dialled)
    assert platform.engine.dialled[call_id].sink_client_id is None
    assert "tokenUri" not in platform.get(call_id).text
    published = platform.http.get("/.well-known/jwks.json").json()["keys"]
    own = json.loads((platform.folder / "sink-key.json").read_text())
    assert [(key["kid"], key["kty"], key["crv"]) for key in published] == [(own["kid"], "EC", "P-256")]
    assert "d" not in published[0]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("clientId", {"clientId": ""}),
        ("clientId", {"clientId": None}),
        ("tokenUri", {"tokenUri": "ftp://example.com/"}),
        ("tokenUri", {"tokenUri": "https://user@example.com/"}),
        ("tokenUri", {"tokenUri": 5}),
        ("jwksUri", {"jwksUri": "https://example.com/keys"}),
        ("accessToken", {"accessToken": "a"}),
    ],
)
def test_a_credential_that_cannot_be_used_is_400(
    platform: Platform, sink: SinkServer, name: str, change: dict[str, object]
) -> None:
    credential = {
        "credentialType": "PRIVATE_KEY_JWT",
        "clientId": "us",
        "tokenUri": "https://example.com/token",
        **change,
    }
    answer = platform.post(sink=f"{sink.root}/one", sinkCredential=credential)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_ARGUMENT")
    assert name in answer.json()["message"]
