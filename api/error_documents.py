"""How the OpenAPI documents describe an error that CAMARA's own document does not: from the error itself."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import Any

from api.errors import ApiError

RETRY_AFTER = {429, 503}
CORRELATOR = {"x-correlator": {"$ref": "#/components/headers/x-correlator"}}


def error_responses(*errors: type[ApiError]) -> dict[str, dict[str, Any]]:
    """By status; `ErrorInfo` and the header `x-correlator` must be among the document's components."""
    ordered = sorted(errors, key=lambda error: error.status)
    return {
        str(status): _response(status, list(group))
        for status, group in groupby(ordered, key=lambda error: error.status)
    }


def _response(status: int, errors: list[type[ApiError]]) -> dict[str, Any]:
    headers: dict[str, Any] = dict(CORRELATOR)
    if status in RETRY_AFTER:
        headers["Retry-After"] = {
            "description": "Seconds to wait before another attempt",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/ErrorInfo"},
            {
                "type": "object",
                "properties": {
                    "status": {"enum": [status]},
                    "code": {"enum": [error.code for error in errors]},
                },
            },
        ]
    }
    examples = {
        error.code: {"value": {"status": status, "code": error.code, "message": error.default}}
        for error in errors
    }
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers,
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }
