"""Production: tokens of an OpenID provider, the embedded issuer off, and sinks only by https."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from api.errors import UnauthenticatedError
from api.token_keys import MAX_AGE, REFRESH_INTERVAL, ProviderKeys
from api.tokens import TokenVerifier
from config.settings import AuthSettings
from tests.api.camara_schemas import validate_error
from tests.api.configuration import write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess
from tests.api.tokens_made import make_token

CALLS = f"{BASE_PATH}/calls"


class Provider:
    """Discovery and JWKS of an OpenID provider."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.fetches = 0
        self.broken = False
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name
                self.send_response(503 if provider.broken else 200)
                self.end_headers()
                if self.path == "/realm/.well-known/openid-configuration":
                    document: object = {"issuer": provider.issuer, "jwks_uri": f"{provider.issuer}/keys"}
                else:
                    provider.fetches += 1
                    document = {"keys": [key.as_dict(private=False) for key in provider.keys]}
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}/realm"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.stop()


@pytest.fixture
def http(redis_url: str, prefix: str, tmp_path: Path, provider: Provider) -> Iterator[httpx2.Client]:
    changes: dict[str, Any] = {
        "auth": {"embedded_issuer": False, "issuer": provider.issuer, "enterprise_claim": "tenant"},
        "notifier": {"allow_insecure_sinks": False},
    }
    process = ApiProcess(write_config(tmp_path, redis_url, prefix, changes=changes))
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as client:
        yield client
    process.stop()


def status(http: httpx2.Client, token: str) -> int:
    answer = http.get(f"{CALLS}/unknown", headers={"Authorization": f"Bearer {token}"})
    validate_error(answer.status_code, answer.json())
    return answer.status_code


def test_tokens_of_every_allowed_algorithm(http: httpx2.Client, provider: Provider) -> None:
    rsa, p256 = RSAKey.generate_key(2048, auto_kid=True), ECKey.generate_key("P-256", auto_kid=True)
    p384, ed = ECKey.generate_key("P-384", auto_kid=True), OKPKey.generate_key("Ed25519", auto_kid=True)
    provider.keys = [rsa, p256, p384, ed]
    signers: list[tuple[str, Key]] = [("RS256", rsa), ("PS256", rsa), ("ES256", p256), ("ES384", p384)]
    for algorithm, key in signers:
        assert status(http, make_token(key, provider.issuer, header={"alg": algorithm})) == 404
    with pytest.warns(match="EdDSA is deprecated"):
        token = make_token(ed, provider.issuer, header={"alg": "EdDSA"})
    assert status(http, token) == 404
    assert provider.fetches == 1


def test_a_claim_may_name_the_enterprise(
    http: httpx2.Client, provider: Provider, engine: PlayedEngine
) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    provider.keys = [key]

    def call(method: str, path: str, **claims: Any) -> httpx2.Response:
        token = make_token(key, provider.issuer, **claims)
        content = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
        body = content if method == "POST" else None
        return http.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})

    created = call("POST", CALLS, client_id="nobody-here", tenant="globex")
    assert created.status_code == 201
    path = f"{CALLS}/{created.json()['callId']}"
    record = engine.record(created.json()["callId"])
    assert (record.enterprise_id, record.presented_number) == ("globex", "+442079460001")
    assert call("GET", path, client_id="nobody-here", tenant="globex").status_code == 200
    assert call("GET", path, client_id="nobody-here", tenant="acme").status_code == 404
    assert call("GET", path, client_id="nobody-here", tenant="unknown").status_code == 403
    assert call("GET", path, client_id="nobody-here").status_code == 403
    assert call("GET", path, client_id="shop").status_code == 404, "provisioned for another enterprise"


def test_a_new_key_is_fetched_once_and_unknown_ones_cause_no_flood(
    http: httpx2.Client, provider: Provider
) -> None:
    old, new = (ECKey.generate_key("P-256", auto_kid=True) for _ in range(2))
    provider.keys = [old]
    assert status(http, make_token(old, provider.issuer)) == 404
    provider.keys = [old, new]
    for _ in range(5):
        assert status(http, make_token(new, provider.issuer)) == 401
    assert provider.fetches == 1, "within 30 s of the first fetch nobody can cause another"


def test_keys_that_cannot_be_had_are_503_and_then_had(http: httpx2.Client, provider: Provider) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    provider.keys, provider.broken = [key], True
    assert status(http, make_token(key, provider.issuer)) == 503
    assert http.get(f"{CALLS}/unknown").status_code == 401


def test_there_is_no_issuer_of_ours(http: httpx2.Client) -> None:
    assert http.post("/oauth2/token").status_code == 404
    assert http.get("/.well-known/openid-configuration").status_code == 404


def test_a_new_key_is_found_without_waiting_for_the_old_ones_to_age(provider: Provider) -> None:
    old, new = (ECKey.generate_key("P-256", auto_kid=True) for _ in range(2))
    provider.keys = [old]
    now = 1000.0

    async def scenario() -> None:
        nonlocal now
        async with httpx2.AsyncClient(trust_env=False) as client:
            keys = ProviderKeys(client, provider.issuer, None, clock=lambda: now)
            verifier = TokenVerifier(keys, AuthSettings(leeway=0), issuer=provider.issuer)
            await verifier.verify(make_token(old, provider.issuer))
            provider.keys = [new]
            with pytest.raises(UnauthenticatedError):
                await verifier.verify(make_token(new, provider.issuer))
            now += REFRESH_INTERVAL + 1
            await verifier.verify(make_token(new, provider.issuer))
            with pytest.raises(UnauthenticatedError):
                await verifier.verify(make_token(old, provider.issuer))

    asyncio.run(scenario())
    assert provider.fetches == 2


def test_a_provider_that_fails_later_does_not_stop_the_known_keys(provider: Provider) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    provider.keys = [key]
    now = 1000.0

    async def scenario() -> None:
        nonlocal now
        async with httpx2.AsyncClient(trust_env=False) as client:
            keys = ProviderKeys(client, "unused", f"{provider.issuer}/keys", clock=lambda: now)
            await keys.current()
            provider.broken = True
            now += MAX_AGE + 1
            assert (await keys.current()).get_by_kid(key.kid)

    asyncio.run(scenario())
    assert provider.fetches == 2


def test_an_insecure_sink_is_refused(http: httpx2.Client, provider: Provider) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    provider.keys = [key]
    body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
    headers = {"Authorization": f"Bearer {make_token(key, provider.issuer)}"}
    refused = http.post(CALLS, json={**body, "sink": "http://example.com/sink"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_ARGUMENT")
    no_room = http.post(CALLS, json={**body, "sink": "https://example.com/sink"}, headers=headers)
    assert (no_room.status_code, no_room.json()["code"]) == (503, "UNAVAILABLE")
    validate_error(503, no_room.json())
