"""/openapi.json: CAMARA's own document, where we serve it, and what we add.

Whatever is ours carries `x-dialbridge-extension: true`, values of ours in an enumeration are listed beside it
as `x-dialbridge-values`: without them and the addresses it says what CAMARA says (native/bundle_camara.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from api.error_documents import error_responses
from api.errors import (
    ApiError,
    IdempotencyKeyReusedError,
    NotAcceptableError,
    NotFoundError,
    QuotaExceededError,
    RangeNotSatisfiableError,
    TooManyRequestsError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from api.idempotency import HEADER as IDEMPOTENCY_KEY
from api.recordings_http import ENCODINGS

BASE_PATHS = ("/click-to-dial/v0.2", "/click-to-dial/vwip")
"""The release, and the name that CAMARA's document itself uses."""

EXTENSION = "x-dialbridge-extension"
VALUES = "x-dialbridge-values"

ERRORS: dict[tuple[str, str], tuple[type[ApiError], ...]] = {
    ("/calls", "post"): (
        NotFoundError,  # a repeated Idempotency-Key, after the call's record is gone
        UnsupportedMediaTypeError,
        TooManyRequestsError,
        QuotaExceededError,
        UnavailableError,
    ),
    ("/calls/{callId}", "get"): (UnavailableError,),
    ("/calls/{callId}", "delete"): (UnavailableError,),
    ("/calls/{callId}/recording", "get"): (NotAcceptableError, RangeNotSatisfiableError, UnavailableError),
}
"""Beside those of CAMARA's document; its guidelines allow what CAMARA_common.yaml has."""

IDEMPOTENCY_PATTERN = r'^("[ !#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$'
"""As idempotency.py reads it, in ECMA-262."""

_BUNDLE = Path(__file__).parent / "camara" / "click-to-dial.json"


def camara_document(*, api_root: str, issuer: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_BUNDLE.read_text())
    document["servers"] = [_server(base_path, api_root) for base_path in BASE_PATHS]
    schemes = document["components"]["securitySchemes"]
    schemes["openId"]["openIdConnectUrl"] = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    paths = document["paths"]
    for (path, method), errors in ERRORS.items():
        paths[path][method]["responses"] |= _ours(error_responses(*errors))
    _extend_errors(document["components"])
    _extend_creation(paths["/calls"]["post"])
    _extend_event(document)
    _extend_recording(paths["/calls/{callId}/recording"]["get"])
    return document


def _server(base_path: str, api_root: str) -> dict[str, Any]:
    return {
        "url": f"{{apiRoot}}{base_path}",
        "variables": {"apiRoot": {"default": api_root.rstrip("/"), "description": "API root"}},
    }


def _ours(named: dict[str, Any]) -> dict[str, Any]:
    return {name: _our(one) for name, one in named.items()}


def _our(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, EXTENSION: True}


def _extend_errors(components: dict[str, Any]) -> None:
    responses, code = components["responses"], IdempotencyKeyReusedError.code
    unprocessable = responses["UnprocessableEntity422"]["content"]["application/json"]
    codes = unprocessable["schema"]["allOf"][1]["properties"]["code"]
    codes["enum"].append(code)
    codes[VALUES] = [code]
    challenge = {"description": "RFC 6750, section 3", "required": True, "schema": {"type": "string"}}
    responses["Generic401"]["headers"] |= _ours({"WWW-Authenticate": challenge})


def _extend_creation(operation: dict[str, Any]) -> None:
    key = {
        "name": IDEMPOTENCY_KEY,
        "in": "header",
        "required": False,
        "description": "Repeated within 24 hours with the same key and content, no second call is made.",
        "schema": {"type": "string", "pattern": IDEMPOTENCY_PATTERN, "minLength": 1, "maxLength": 257},
    }
    operation["parameters"].append(_our(key))
    created = operation["responses"]["201"]
    location = {
        "description": "The call",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    }
    created["headers"] |= _ours({"Location": location})
    created["links"] = {
        operation_id: _our({"operationId": operation_id, "parameters": {"callId": "$response.body#/callId"}})
        for operation_id in ("getCall", "terminateCall", "getRecording")
    }


def _extend_event(document: dict[str, Any]) -> None:
    """What a sink gets beside CAMARA's event, and what its answers do."""
    subject = {"type": "string", "description": "`/calls/{callId}`"}
    document["components"]["schemas"]["CloudEvent"]["properties"] |= _ours({"subject": subject})
    callback = document["paths"]["/calls"]["post"]["callbacks"]["callStatusChanged"]
    (delivery,) = (item["post"] for item in callback.values())
    headers = {
        "x-correlator": "That of the request that created the call",
        "webhook-id": "Standard Webhooks, if the enterprise has secrets for them",
        "webhook-timestamp": "Standard Webhooks",
        "webhook-signature": "Standard Webhooks",
    }
    delivery["parameters"] = [
        _our({"name": name, "in": "header", "description": text, "schema": {"type": "string"}})
        for name, text in headers.items()
    ]
    delivery["responses"] |= _ours(
        {
            "410": {"description": "The sink takes no more events of this call."},
            "default": {"description": "The event is sent again later, not before a Retry-After says."},
        }
    )


def _extend_recording(operation: dict[str, Any]) -> None:
    """The audio file itself, by the Accept header, whole or in part."""
    asked = {
        "name": "Range",
        "in": "header",
        "required": False,
        "description": "Part of the audio file (RFC 9110, section 14)",
        "schema": {"type": "string"},
    }
    operation["parameters"].append(_our(asked))
    audio = {name: {"schema": {"type": "string", "format": "binary"}} for name in ENCODINGS}
    operation["responses"]["200"]["content"] |= _ours(audio)
    part = {"description": "Part of the audio file", "content": audio}
    operation["responses"] |= _ours({"206": part})
