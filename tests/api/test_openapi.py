"""The served OpenAPI documents: valid, CAMARA's own but for what is marked as ours, and true."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from api import admin_http, admin_pool_http, calls_http, recordings_http
from api.errors import ApiError
from api.recording_encoding import BASE64_LIMIT
from tests.api.camara_schemas import camara_dereferenced, codes_of, dereferenced
from tests.api.conftest import Platform
from tests.api.tokens_made import ALL_SCOPES, make_token

BASE_PATHS = ("/click-to-dial/v0.2", "/click-to-dial/vwip")
ISSUER = "http://127.0.0.1:9091"
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def camara(platform: Platform) -> dict[str, Any]:
    document: dict[str, Any] = platform.http.get("/openapi.json").json()
    return document


def without_extensions(part: Any) -> Any:
    """What is left without all that is marked as ours; what held nothing else is gone, too."""
    match part:
        case dict():
            ours = part.get("x-dialbridge-values", [])
            kept = {
                name: without_extensions([value for value in one if value not in ours] if ours else one)
                for name, one in part.items()
                if not name.startswith("x-dialbridge-") and not _is_ours(one)
            }
            return {name: one for name, one in kept.items() if one or not part[name]}
        case list():
            return [without_extensions(item) for item in part if not _is_ours(item)]
        case _:
            return part


def _is_ours(part: Any) -> bool:
    return isinstance(part, dict) and part.get("x-dialbridge-extension") is True


def test_it_is_camaras_document_but_for_what_is_marked_and_where_it_is_served(
    camara: dict[str, Any],
) -> None:
    served, original = dereferenced(without_extensions(camara)), camara_dereferenced()
    addresses = [f"{{apiRoot}}{path}" for path in BASE_PATHS]
    assert [server["url"] for server in served.pop("servers")] == addresses
    assert original.pop("servers")[0]["url"] in addresses
    for document in (served, original):
        url = document["components"]["securitySchemes"]["openId"].pop("openIdConnectUrl")
        assert url.endswith("/.well-known/openid-configuration")
    # One document needs the other files' components, too.
    for section, components in original["components"].items():
        for name, component in components.items():
            assert served["components"][section][name] == component, f"{section}/{name}"
    del served["components"], original["components"]
    assert served == original


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi-platform.json", "/clicktodial/v1/openapi.json"])
def test_each_document_is_valid_and_names_each_operation_once(platform: Platform, path: str) -> None:
    validate(platform.http.get(path).json())


def test_its_paths_are_the_routes(camara: dict[str, Any]) -> None:
    documented = {
        (path, method) for path, item in camara["paths"].items() for method in METHODS.intersection(item)
    }
    routes = [
        (route.path, method.lower())
        for route in (*calls_http.router.routes, *recordings_http.router.routes)
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    ]
    assert documented == {(path, method) for path, method in routes if method != "head"}


OPERATIONS = [
    ("post", "/calls"),
    ("get", "/calls/{callId}"),
    ("delete", "/calls/{callId}"),
    ("get", "/calls/{callId}/recording"),
]


@pytest.mark.parametrize("base_path", BASE_PATHS)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_each_operation_needs_the_documented_scope_and_no_other(
    platform: Platform, camara: dict[str, Any], base_path: str, method: str, path: str
) -> None:
    def status(scopes: set[str]) -> int:
        token = make_token(platform.signing_key, ISSUER, scope=" ".join(scopes))
        headers = {"Authorization": f"Bearer {token}"}
        url = base_path + path.replace("{callId}", "unknown")
        return platform.http.request(method.upper(), url, headers=headers).status_code

    ((scope,),) = (need["openId"] for need in camara["paths"][path][method]["security"])
    assert status({scope}) in (400, 404)
    assert status({*ALL_SCOPES.split()} - {scope}) == 403


def test_what_is_ours_is_marked(camara: dict[str, Any]) -> None:
    recording = camara["paths"]["/calls/{callId}/recording"]["get"]["responses"]
    added = {status for status, response in recording.items() if response.get("x-dialbridge-extension")}
    assert added == {"206", "406", "416", "503"}
    audio = {name for name, one in recording["200"]["content"].items() if one.get("x-dialbridge-extension")}
    assert audio == {"audio/wav", "audio/x-wav", "audio/ogg", "audio/mpeg", "audio/mp3"}
    schema = camara["components"]["schemas"]["RecordingResource"]["properties"]
    assert schema["content"]["maxLength"] == BASE64_LIMIT
    creation = camara["paths"]["/calls"]["post"]
    assert {"404", "415", "429", "503"} < set(creation["responses"])
    assert creation["parameters"][-1]["name"] == "Idempotency-Key"
    assert set(creation["responses"]["201"]["links"]) == {"getCall", "terminateCall", "getRecording"}


def all_errors(error: type[ApiError] = ApiError) -> set[type[ApiError]]:
    return {error}.union(*map(all_errors, error.__subclasses__()))


def test_each_error_that_an_operation_may_answer_is_documented(camara: dict[str, Any]) -> None:
    pairs = {(error.status, error.code) for error in all_errors() if error is not ApiError}
    nobodys = {(405, "METHOD_NOT_ALLOWED"), (500, "INTERNAL")}  # of no operation, and never meant
    administration = {(409, "ABORTED"), (412, "FAILED_PRECONDITION")}
    assert pairs - nobodys - administration <= codes_of(dereferenced(camara))


def test_the_rest_is_in_a_document_of_its_own(platform: Platform) -> None:
    document = platform.http.get("/openapi-platform.json").json()
    assert {"/healthz", "/readyz", "/metrics", "/oauth2/token", "/.well-known/jwks.json"} < set(
        document["paths"]
    )
    assert not any(path.startswith("/click-to-dial/") for path in document["paths"])
    operations = [item[method] for item in document["paths"].values() for method in METHODS & set(item)]
    assert all(operation["tags"] for operation in operations)
    assert "HTTPValidationError" not in document["components"]["schemas"]


@pytest.fixture
def administration(platform: Platform) -> dict[str, Any]:
    """Of the platform's document, without references."""
    document = platform.http.get("/openapi-platform.json").json()
    document["paths"] = {
        path: item for path, item in document["paths"].items() if path.startswith("/admin/v1/")
    }
    found: dict[str, Any] = dereferenced(document)
    return found


def test_of_each_operation_of_the_administration_all_is_said(administration: dict[str, Any]) -> None:
    operations = {
        (method, path): operation
        for path, item in administration["paths"].items()
        for method, operation in item.items()
    }
    routers = (admin_http.router, admin_pool_http.router)
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    methods = {(method.lower(), route.path) for route in routes for method in route.methods or ()}
    assert set(operations) == methods
    for (method, path), operation in operations.items():
        assert operation["security"] == [{"openId": ["dialbridge:admin"]}]
        assert {"400", "401", "403", "503"} < set(operation["responses"]), (method, path)
        for status, response in operation["responses"].items():
            assert "x-correlator" in response["headers"], (method, path, status)
            assert ("content" in response) is (status != "204"), (method, path, status)
    enterprise = "/admin/v1/enterprises/{enterpriseId}"
    assert {name for name, operation in operations.items() if "requestBody" in operation} == {
        ("put", enterprise),
        ("patch", enterprise),
        ("post", f"{enterprise}/members"),
        ("post", f"{enterprise}/pool/top-ups"),
    }
    assert {(409, "ABORTED"), (412, "FAILED_PRECONDITION")} <= codes_of(administration)


def test_an_administrators_bodies_are_described_as_they_are_read(administration: dict[str, Any]) -> None:
    item = administration["paths"]["/admin/v1/enterprises/{enterpriseId}"]

    def fits(method: str, body: Any) -> bool:
        content = item[method]["requestBody"]["content"]["application/json"]
        return bool(Draft202012Validator(content["schema"]).is_valid(body))

    number = {"number": "+442079460000"}
    assert fits("put", {**number, "id": "acme", "version": 7, "state": "suspended", "pool": {"slice": 60}})
    assert not fits("put", {})
    assert not fits("put", {**number, "colour": "red"})
    assert not fits("put", {**number, "announcements": {"lost": "../x"}})
    assert fits("patch", {"max_calls": None, "announcements": None, "policy": {"deny": None}, "colour": None})
    assert not fits("patch", {"colour": "red"})
    assert not fits("patch", {"number": None})
    assert not fits("patch", {"policy": {"caller_rates": [{"calls": 1, "seconds": None}]}})
