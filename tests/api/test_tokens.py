"""Which bearer tokens open which operation (RFC 6750, RFC 9068)."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from tests.api.camara_schemas import validate_error
from tests.api.conftest import BASE_PATH, Platform
from tests.api.played_engine import new_number
from tests.api.tokens_made import ALL_SCOPES, make_token

ISSUER = "http://127.0.0.1:9091"
CALLS = f"{BASE_PATH}/calls"


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def status_with(platform: Platform, authorization: str) -> int:
    """Of GET for a call that does not exist: 404 once the token is good."""
    answer = platform.http.get(f"{CALLS}/unknown", headers={"Authorization": authorization})
    validate_error(answer.status_code, answer.json())
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    return answer.status_code


def test_a_token_of_the_issuers_key_is_good(platform: Platform) -> None:
    token = make_token(platform.signing_key, ISSUER)
    assert status_with(platform, f"Bearer {token}") == 404
    assert status_with(platform, f"bearer {token}") == 404


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 60},
        {"exp": "soon"},
        {"nbf": int(time.time()) + 86400},
        {"iat": int(time.time()) + 86400},
        {"aud": "somebody-else"},
        {"aud": ["a", "b"]},
        {"aud": 5},
        {"iss": "https://evil.example.com"},
        {"scope": 5},
        {"drop": "exp"},
        {"drop": "aud"},
        {"drop": "iss"},
        {"header": {"typ": "logout+jwt"}},
        {"header": {"typ": "dpop+jwt"}},
        {"phone_number": 442079460000},
        {"phone_number": ""},
    ],
    ids=str,
)
def test_a_token_with_these_claims_is_401(platform: Platform, claims: dict[str, Any]) -> None:
    assert status_with(platform, f"Bearer {make_token(platform.signing_key, ISSUER, **claims)}") == 401


def test_the_clocks_may_differ_a_little(platform: Platform) -> None:
    token = make_token(platform.signing_key, ISSUER, exp=int(time.time()) - 5, nbf=int(time.time()) + 5)
    assert status_with(platform, f"Bearer {token}") == 404


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["other", "dialbridge"]},
        {"scope": ALL_SCOPES.split()},
        {"drop": "client_id", "azp": "shop", "sub": "service-account"},
        {"drop": "client_id"},
        {"header": {"typ": "JWT", "x-vendor": "any"}},
        {"header": {"typ": "application/at+JWT"}},
        {"phone_number": "+442079460000"},
    ],
    ids=str,
)
def test_the_variety_of_providers_is_understood(platform: Platform, claims: dict[str, Any]) -> None:
    assert status_with(platform, f"Bearer {make_token(platform.signing_key, ISSUER, **claims)}") == 404


def test_a_foreign_key_is_401_even_under_the_right_kid(platform: Platform) -> None:
    kid = platform.signing_key.kid
    foreign = ECKey.generate_key("P-256", auto_kid=True)
    assert status_with(platform, f"Bearer {make_token(foreign, ISSUER)}") == 401
    assert status_with(platform, f"Bearer {make_token(foreign, ISSUER, header={'kid': kid})}") == 401


def test_an_unsigned_token_is_401(platform: Platform) -> None:
    head, payload, _ = make_token(platform.signing_key, ISSUER).split(".")
    none = (
        base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt"}).encode()).rstrip(b"=").decode()
    )
    for token in (f"{none}.{payload}.", f"{head}.{payload}.", f"{head}.{payload}"):
        assert status_with(platform, f"Bearer {token}") == 401


def test_the_public_key_is_no_hmac_secret(platform: Platform) -> None:
    jwk = platform.http.get("/oauth2/jwks").json()["keys"][0]
    payload = make_token(platform.signing_key, ISSUER).split(".")[1]
    head = unpadded(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": jwk["kid"]}).encode())
    for secret in (ECKey.import_key(jwk).as_pem(private=False), json.dumps(jwk).encode()):
        signature = unpadded(hmac.digest(secret, f"{head}.{payload}".encode(), "sha256"))
        assert status_with(platform, f"Bearer {head}.{payload}.{signature}") == 401


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer a b",
        "Bearer é",
        "Basic c2hvcDpzZWNyZXQ=",
        "Bearer x",
        "Bearer a.b.c",
        "Token x",
    ],
)
def test_no_token_is_401(platform: Platform, authorization: str) -> None:
    headers = {"Authorization": authorization.encode("latin-1")}
    answer = platform.http.get(f"{CALLS}/unknown", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    validate_error(401, answer.json())


def test_without_a_header_the_challenge_names_no_error(platform: Platform) -> None:
    answer = platform.http.get(f"{CALLS}/unknown")
    assert answer.headers["www-authenticate"] == 'Bearer realm="dialbridge"'
    assert (
        'error="invalid_token"'
        in platform.http.get(f"{CALLS}/unknown", headers={"Authorization": "Bearer a.b.c"}).headers[
            "www-authenticate"
        ]
    )


def test_a_client_that_is_not_provisioned_is_403(platform: Platform) -> None:
    token = make_token(platform.signing_key, ISSUER, client_id="stranger")
    assert status_with(platform, f"Bearer {token}") == 403


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", CALLS, "click-to-dial:calls:create"),
        ("GET", f"{CALLS}/unknown", "click-to-dial:calls:read"),
        ("DELETE", f"{CALLS}/unknown", "click-to-dial:calls:delete"),
        ("GET", f"{CALLS}/unknown/recording", "click-to-dial:recordings:read"),
    ],
)
def test_each_operation_needs_its_own_scope_and_no_other(
    platform: Platform, method: str, path: str, scope: str
) -> None:
    others = " ".join(other for other in ALL_SCOPES.split() if other != scope)
    refused = platform.http.request(method, path, headers=platform.bearer(scope=others))
    assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_DENIED")
    validate_error(403, refused.json())
    assert f'scope="{scope}"' in refused.headers["www-authenticate"]
    granted = platform.http.request(method, path, headers=platform.bearer(scope=scope))
    assert granted.status_code in (400, 404)


def test_a_three_legged_token_opens_calls_of_its_number_alone(platform: Platform) -> None:
    number, other = new_number(), new_number()

    def call(method: str, path: str, person: str, caller: str = number) -> httpx2.Response:
        token = make_token(platform.signing_key, ISSUER, phone_number=person)
        content = {"caller": {"number": caller}, "callee": {"number": new_number()}}
        body = content if method == "POST" else None
        return platform.http.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})

    refused = call("POST", CALLS, other)
    assert (refused.status_code, refused.json()["code"]) == (403, "INVALID_TOKEN_CONTEXT")
    validate_error(403, refused.json())
    created = call("POST", CALLS, number)
    assert created.status_code == 201
    path = f"{CALLS}/{created.json()['callId']}"
    assert call("GET", path, number).status_code == 200
    for method, suffix in (("GET", ""), ("DELETE", ""), ("GET", "/recording")):
        assert call(method, path + suffix, other).status_code == 404
    assert platform.get(created.json()["callId"]).status_code == 200, "a two-legged token sees all of them"
    assert call("DELETE", path, number).status_code == 204
