"""Who a request is about: the identifiers' codes of CAMARA_common.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from joserfc.jwk import ECKey

from tests.api.camara_schemas import validate_error
from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH, Platform
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess
from tests.api.tokens_made import make_token

CALLS = f"{BASE_PATH}/calls"
ISSUER = "http://127.0.0.1:9091"
MEMBER = "+442079460010"


@pytest.fixture
def strict(redis_url: str, prefix: str, tmp_path: Path, engine: PlayedEngine) -> Iterator[httpx2.Client]:
    """An api whose calls are of members, and need a person's consent."""
    del engine  # takes the calls
    changes = {
        "auth": {"person_required": True},
        "enterprises": [{"id": "acme", "number": "+442079460000", "members": [MEMBER]}],
        "clients": [{"id": "shop", "secret": SECRET, "enterprise": "acme"}],
    }
    process = ApiProcess(write_config(tmp_path, redis_url, prefix, changes=changes))
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        yield http
    process.stop()


@pytest.fixture
def signing_key(strict: httpx2.Client, tmp_path: Path) -> ECKey:
    del strict  # makes it
    return ECKey.import_key(json.loads((tmp_path / "issuer-key.json").read_text()))


def call(http: httpx2.Client, token: str, caller: str = MEMBER) -> httpx2.Response:
    body = {"caller": {"number": caller}, "callee": {"number": new_number()}}
    return http.post(CALLS, json=body, headers={"Authorization": f"Bearer {token}"})


def test_a_call_may_need_a_token_that_names_a_person(strict: httpx2.Client, signing_key: ECKey) -> None:
    refused = call(strict, make_token(signing_key, ISSUER))
    assert (refused.status_code, refused.json()["code"]) == (422, "MISSING_IDENTIFIER")
    validate_error(422, refused.json())
    assert call(strict, make_token(signing_key, ISSUER, phone_number=MEMBER)).status_code == 201


def test_a_person_whom_the_enterprise_does_not_know(strict: httpx2.Client, signing_key: ECKey) -> None:
    created = call(strict, make_token(signing_key, ISSUER, phone_number=MEMBER))
    path = f"{CALLS}/{created.json()['callId']}"

    def status(method: str, path: str, person: str) -> tuple[int, str]:
        token = make_token(signing_key, ISSUER, phone_number=person)
        answer = strict.request(method, path, headers={"Authorization": f"Bearer {token}"})
        validate_error(404, answer.json())
        return answer.status_code, answer.json()["code"]

    for method, suffix in (("GET", ""), ("DELETE", ""), ("GET", "/recording")):
        assert status(method, path + suffix, new_number()) == (404, "IDENTIFIER_NOT_FOUND")
    assert status("GET", f"{CALLS}/unknown", MEMBER) == (404, "NOT_FOUND")


@pytest.mark.parametrize("who", ["caller", "callee"])
@pytest.mark.parametrize("identifier", ["sip:alice@example.com", "123456789@example.com"])
def test_an_identifier_that_is_no_telephone_number(platform: Platform, who: str, identifier: str) -> None:
    answer = platform.post(**{who: {"number": identifier}})
    assert (answer.status_code, answer.json()["code"]) == (422, "UNSUPPORTED_IDENTIFIER")
    validate_error(422, answer.json())
    assert who in answer.json()["message"]


def test_the_number_that_both_are_shown_is_not_called(platform: Platform) -> None:
    answer = platform.post(callee={"number": "+442079460000"})
    assert (answer.status_code, answer.json()["code"]) == (422, "SERVICE_NOT_APPLICABLE")
    validate_error(422, answer.json())
    assert platform.post(caller={"number": "+442079460000"}).status_code == 201, "the enterprise's telephone"
