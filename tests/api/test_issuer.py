"""The lab's own token endpoint (RFC 6749, RFC 7523), discovery and keys."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from api.client_authentication import ASSERTION_TYPE
from api.signing_key import load_or_create_signing_key
from config import ConfigurationError
from tests.api.configuration import SECRET
from tests.api.conftest import BASE_PATH, Platform
from tests.api.tokens_made import ALL_SCOPES

ENDPOINT = "http://127.0.0.1:9091/oauth2/token"
GRANT = {"grant_type": "client_credentials"}
POSTED = {**GRANT, "client_id": "shop", "client_secret": SECRET}


def ask(platform: Platform, form: dict[str, str], **more: Any) -> httpx2.Response:
    answer = platform.http.post("/oauth2/token", data=form, **more)
    assert answer.headers["cache-control"] == "no-store"
    return answer


def assertion(platform: Platform, key: ECKey | None = None, **claims: Any) -> dict[str, str]:
    signer = key or platform.client_key
    content = {
        "iss": "robot",
        "sub": "robot",
        "aud": ENDPOINT,
        "exp": int(time.time()) + 60,
        "jti": str(uuid4()),
        **claims,
    }
    signed = jwt.encode({"alg": "ES256", "kid": signer.kid}, {k: v for k, v in content.items() if v}, signer)
    return {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


def assert_usable(platform: Platform, answer: httpx2.Response) -> None:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    read = platform.http.get(
        f"{BASE_PATH}/calls/unknown", headers={"Authorization": f"Bearer {body['access_token']}"}
    )
    assert read.status_code == 404


def test_discovery_names_the_endpoints_and_the_keys_verify_the_token(platform: Platform) -> None:
    discovery = platform.http.get("/.well-known/openid-configuration").json()
    assert discovery["issuer"] == "http://127.0.0.1:9091"
    assert discovery["token_endpoint"] == ENDPOINT
    assert discovery["jwks_uri"] == "http://127.0.0.1:9091/oauth2/jwks"
    keys = platform.http.get("/oauth2/jwks").json()
    assert all("d" not in key for key in keys["keys"])
    token = jwt.decode(platform.token(), KeySet.import_key_set(keys))
    assert token.header["typ"] == "at+jwt"
    assert token.claims["iss"] == discovery["issuer"]
    assert token.claims["aud"] == "dialbridge"
    assert token.claims["client_id"] == token.claims["sub"] == "shop"
    assert token.claims["exp"] - token.claims["iat"] == 3600
    assert token.claims["jti"]


def test_client_secret_post(platform: Platform) -> None:
    assert_usable(platform, ask(platform, POSTED))


def test_client_secret_basic_with_both_parts_form_encoded(platform: Platform) -> None:
    assert_usable(platform, ask(platform, GRANT, auth=("shop", quote_plus(SECRET))))


@pytest.mark.parametrize("audience", [ENDPOINT, "http://127.0.0.1:9091", [ENDPOINT]])
def test_private_key_jwt(platform: Platform, audience: str | list[str]) -> None:
    assert_usable(platform, ask(platform, assertion(platform, aud=audience)))


def test_an_assertion_works_once(platform: Platform) -> None:
    form = assertion(platform)
    assert ask(platform, form).status_code == 200
    replay = ask(platform, form)
    assert (replay.status_code, replay.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 120},
        {"exp": int(time.time()) + 86400},
        {"exp": None},
        {"jti": None},
        {"jti": "x" * 300},
        {"aud": "https://elsewhere.example.com"},
        {"aud": None},
        {"iss": "shop"},
        {"sub": "shop", "iss": "shop"},
        {"sub": "nobody", "iss": "nobody"},
        {"nbf": int(time.time()) + 86400},
    ],
    ids=str,
)
def test_an_assertion_with_these_claims_is_refused(platform: Platform, claims: dict[str, Any]) -> None:
    answer = ask(platform, assertion(platform, **claims))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_assertion_of_a_foreign_key_is_refused(platform: Platform) -> None:
    foreign = ECKey.generate_key("P-256", {"kid": str(platform.client_key.kid)})
    assert ask(platform, assertion(platform, foreign)).status_code == 401


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ({}, ALL_SCOPES),
        ({"scope": ""}, ALL_SCOPES),
        ({"scope": "click-to-dial:calls:read"}, "click-to-dial:calls:read"),
    ],
)
def test_scopes_asked_for_are_granted(platform: Platform, scope: dict[str, str], granted: str) -> None:
    assert ask(platform, {**POSTED, **scope}).json()["scope"] == granted


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({**POSTED, "client_secret": "wrong"}, 401, "invalid_client"),
        ({**POSTED, "client_id": "nobody"}, 401, "invalid_client"),
        ({**POSTED, "client_id": "robot"}, 401, "invalid_client"),
        (GRANT, 401, "invalid_client"),
        ({**GRANT, "client_id": "shop"}, 401, "invalid_client"),
        ({**POSTED, "grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": "shop", "client_secret": SECRET}, 400, "invalid_request"),
        ({**POSTED, "scope": "click-to-dial:calls:read openid"}, 400, "invalid_scope"),
        ({**POSTED, "client_assertion": "a.b.c"}, 400, "invalid_request"),
        ({**GRANT, "client_assertion": "a.b.c"}, 400, "invalid_request"),
        (
            {**GRANT, "client_assertion": "a.b.c", "client_assertion_type": ASSERTION_TYPE},
            401,
            "invalid_client",
        ),
    ],
)
def test_other_requests_are_refused(
    platform: Platform, form: dict[str, str], status: int, error: str
) -> None:
    answer = ask(platform, form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert set(answer.json()) == {"error", "error_description"}
    assert "access_token" not in answer.text


@pytest.mark.parametrize(
    "authorization", ["Basic !!", "Basic c2hvcA==", "Basic c2hvcDp3cm9uZw==", "Digest x"]
)
def test_a_refused_authorization_header_is_challenged(platform: Platform, authorization: str) -> None:
    answer = ask(platform, GRANT, headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b'{"grant_type":"client_credentials"}', "application/json"),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        (b"grant_type=%FF", "application/x-www-form-urlencoded"),
        (b"a=b&" * 20, "application/x-www-form-urlencoded"),
        (b"a=" + b"b" * 40_000, "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_is_no_form_is_an_invalid_request(
    platform: Platform, content: bytes, media_type: str
) -> None:
    answer = platform.http.post("/oauth2/token", content=content, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_the_signing_key_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "var" / "key.json"
    path.parent.mkdir()
    load: Callable[[int], str | None] = lambda _: load_or_create_signing_key(path).kid  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(load, range(8)))) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{}", '{"kty":"oct","k":"AA"}', "[]"])
def test_a_file_that_holds_no_key_is_said_to_hold_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"key\.json"):
        load_or_create_signing_key(path)
