"""What /openapi-platform.json says of `/admin/v1` beside paths and parameters: bodies, answers, errors."""

from __future__ import annotations

from typing import Any

from api.admin_pool_http import TopUp
from api.enterprise_schemas import enterprise_schemas
from api.error_documents import CORRELATOR, error_responses
from api.errors import (
    ApiError,
    ChangedError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    PreconditionFailedError,
    ReferenceUsedError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from api.provisioning import NAME_LIMIT
from state.pool import EntryKind

ALL = "/admin/v1/enterprises"
ONE = f"{ALL}/{{enterpriseId}}"
MEMBERS, CLIENTS = f"{ONE}/members", f"{ONE}/clients"
MEMBER, CLIENT = f"{MEMBERS}/{{number}}", f"{CLIENTS}/{{clientId}}"
POOL = f"{ONE}/pool"
TOP_UPS, LEDGER = f"{POOL}/top-ups", f"{POOL}/ledger"

JSON, MERGE_PATCH, CSV = "application/json", "application/merge-patch+json", "text/csv"


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _content(*media_types: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {media_type: {"schema": schema} for media_type in media_types}


COUNT = {"type": "integer", "minimum": 0}
SECONDS = {"type": "integer"}
ENTERPRISE_SCHEMAS = enterprise_schemas()
NUMBER = ENTERPRISE_SCHEMAS["Enterprise"]["properties"]["number"]
SCHEMAS: dict[str, Any] = {
    **ENTERPRISE_SCHEMAS,
    "Member": {
        "type": "object",
        "properties": {
            "number": NUMBER,
            "name": {"type": "string", "maxLength": NAME_LIMIT},
        },
        "required": ["number"],
        "additionalProperties": False,
    },
    "TopUp": TopUp.model_json_schema(),
    "Pool": _object(
        {
            "balance": SECONDS,
            "reserved": {**COUNT, "description": "By live calls"},
            "free": SECONDS,
            "month": {"type": "string", "nullable": True, "description": "Whose minutes were added last"},
            "low": {"type": "boolean"},
        }
    ),
    "LedgerEntry": _object(
        {
            "id": {"type": "string"},
            "at": {"type": "string", "format": "date-time"},
            "kind": {"type": "string", "enum": [kind.value for kind in EntryKind]},
            "reference": {"type": "string"},
            "seconds": SECONDS,
            "balance": {**SECONDS, "description": "After it"},
        }
    ),
}

MORE = {"type": "boolean", "description": "Whether there is another page."}
TABLE = {"schema": {"type": "string", "description": "RFC 4180: number,name or number, as its header says"}}

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    (ONE, "put"): _content(JSON, schema=_ref("EnterpriseContent")),
    (ONE, "patch"): _content(MERGE_PATCH, JSON, schema=_ref("EnterprisePatch")),
    (MEMBERS, "post"): {
        **_content(JSON, schema=_list({"anyOf": [NUMBER, _ref("Member")]})),
        CSV: TABLE,
    },
    (TOP_UPS, "post"): _content(JSON, schema=_ref("TopUp")),
}

ENTERPRISE_ANSWER = {
    "headers": {
        **CORRELATOR,
        "ETag": {"required": True, "schema": {"type": "string", "pattern": '^"[0-9]{1,15}"$'}},
    },
    "content": _content(JSON, schema=_ref("Enterprise")),
}
LINKS = {
    name: {"operationId": f"{name}:{path}", "parameters": {"enterpriseId": "$response.body#/id"}}
    for name, path in (("get_enterprise", ONE), ("list_members", MEMBERS), ("list_clients", CLIENTS))
}
TOPPED_UP = {"headers": CORRELATOR, "content": _content(JSON, schema=_ref("TopUp"))}
NOTHING = {"description": "Done", "headers": CORRELATOR}
ANSWERS: dict[tuple[str, str], dict[str, Any]] = {
    (ALL, "get"): {
        "200": {
            "description": "A page of them",
            "headers": CORRELATOR,
            "content": _content(
                JSON, schema=_object({"enterprises": _list(_ref("Enterprise")), "more": MORE})
            ),
        }
    },
    (ONE, "get"): {"200": {"description": "The enterprise", **ENTERPRISE_ANSWER}},
    (ONE, "put"): {
        "200": {"description": "Replaced", **ENTERPRISE_ANSWER, "links": LINKS},
        "201": {"description": "Made", **ENTERPRISE_ANSWER, "links": LINKS},
    },
    (ONE, "patch"): {"200": {"description": "Changed", **ENTERPRISE_ANSWER, "links": LINKS}},
    (MEMBERS, "get"): {
        "200": {
            "description": "JSON: a page of them; CSV: all",
            "headers": CORRELATOR,
            "content": {
                **_content(JSON, schema=_object({"members": _list(_ref("Member")), "more": MORE})),
                CSV: {**TABLE, "example": "number,name\r\n+447700900001,Ada\r\n"},
            },
        }
    },
    (MEMBERS, "post"): {
        "200": {
            "description": "Added",
            "headers": CORRELATOR,
            "content": _content(JSON, schema=_object({"added": COUNT, "known": COUNT})),
        }
    },
    (MEMBER, "put"): {"204": NOTHING},
    (MEMBER, "delete"): {"204": NOTHING},
    (CLIENTS, "get"): {
        "200": {
            "description": "Their ids",
            "headers": CORRELATOR,
            "content": _content(JSON, schema=_object({"clients": _list({"type": "string"})})),
        }
    },
    (CLIENT, "put"): {"204": NOTHING},
    (CLIENT, "delete"): {"204": NOTHING},
    (POOL, "get"): {
        "200": {
            "description": "In seconds",
            "headers": CORRELATOR,
            "content": _content(JSON, schema=_ref("Pool")),
        }
    },
    (TOP_UPS, "post"): {
        "200": {"description": "These minutes were added before", **TOPPED_UP},
        "201": {"description": "Added", **TOPPED_UP},
    },
    (LEDGER, "get"): {
        "200": {
            "description": "A page of it",
            "headers": CORRELATOR,
            "content": _content(JSON, schema=_object({"entries": _list(_ref("LedgerEntry")), "more": MORE})),
        }
    },
}

EVERYWHERE = (InvalidArgumentError, UnauthenticatedError, PermissionDeniedError, UnavailableError)
WRITING = (NotFoundError, ChangedError, PreconditionFailedError, UnsupportedMediaTypeError)
ERRORS: dict[tuple[str, str], tuple[type[ApiError], ...]] = {
    (ALL, "get"): (),
    (ONE, "get"): (NotFoundError,),
    (ONE, "put"): WRITING,
    (ONE, "patch"): WRITING,
    (MEMBERS, "get"): (NotFoundError,),
    (MEMBERS, "post"): (NotFoundError, UnsupportedMediaTypeError),
    (MEMBER, "put"): (NotFoundError,),
    (MEMBER, "delete"): (NotFoundError,),
    (CLIENTS, "get"): (NotFoundError,),
    (CLIENT, "put"): (NotFoundError,),
    (CLIENT, "delete"): (NotFoundError,),
    (POOL, "get"): (NotFoundError,),
    (TOP_UPS, "post"): (OutOfRangeError, NotFoundError, ReferenceUsedError, UnsupportedMediaTypeError),
    (LEDGER, "get"): (NotFoundError,),
}

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag of the version that the change is meant for.",
    "schema": {"type": "string", "pattern": r'^(\*|"[0-9]{1,15}")$'},
}


def describe_administration(document: dict[str, Any]) -> None:
    """Add it to the document of all routes, which knows the paths, the parameters and the scope."""
    document["components"]["schemas"] |= SCHEMAS
    for (path, method), answers in ANSWERS.items():
        operation = document["paths"][path][method]
        operation["responses"] = answers | error_responses(*EVERYWHERE, *ERRORS[path, method])
        if (path, method) in BODIES:
            operation["requestBody"] = {"required": True, "content": BODIES[path, method]}
        if PreconditionFailedError in ERRORS[path, method]:
            operation["parameters"].append(IF_MATCH)
