"""The embedded issuer's endpoints: token, discovery, keys."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, cast
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.client_authentication import OAuthError
from api.issuer import Issuer
from api.services import Services, get_services
from api.strict_json import media_type_of
from state.connection import UNREACHABLE

log = structlog.get_logger()

router = APIRouter(tags=["Lab issuer"])

FORM_LIMIT = 32 * 1024
"""Bytes."""
FIELD_LIMIT = 32
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""RFC 6749, section 5.1."""


def embedded_issuer(services: Annotated[Services, Depends(get_services)]) -> Issuer:
    return cast(Issuer, services.issuer)  # these routes exist only together with it


OwnIssuer = Annotated[Issuer, Depends(embedded_issuer)]


_REFUSED: dict[str, Any] = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
                "required": ["error", "error_description"],
            }
        }
    }
}
_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "scope": {"type": "string"},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                        "client_assertion_type": {"type": "string"},
                        "client_assertion": {"type": "string"},
                    },
                    "required": ["grant_type"],
                }
            }
        },
    },
}


class TokenResponse(BaseModel):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


@router.post(
    "/oauth2/token",
    operation_id="token",
    summary="OAuth 2.0 client_credentials grant",
    response_model=TokenResponse,
    responses={
        400: {"description": "RFC 6749, section 5.2", **_REFUSED},
        401: {"description": "invalid_client", **_REFUSED},
        503: {"description": "temporarily_unavailable", **_REFUSED},
    },
    openapi_extra=_REQUEST,
)
async def token(request: Request, issuer: OwnIssuer) -> Response:
    authorization = request.headers.get("authorization")
    try:
        content = await issuer.grant(authorization, await _read_form(request))
    except OAuthError as error:
        log.info("token_refused", error=error.error, reason=error.description)
        headers = dict(NO_STORE)
        if error.status == 401 and authorization is not None:  # RFC 6749, section 5.2
            headers["WWW-Authenticate"] = 'Basic realm="dialbridge"'
        body = {"error": error.error, "error_description": error.description}
        return JSONResponse(body, error.status, headers)
    except UNREACHABLE:
        body = {"error": "temporarily_unavailable", "error_description": "the state store is unreachable"}
        return JSONResponse(body, 503, {**NO_STORE, "Retry-After": "1"})
    return JSONResponse(content, headers=NO_STORE)


@router.get("/.well-known/openid-configuration", operation_id="discovery", summary="OpenID Connect discovery")
async def discovery(issuer: OwnIssuer) -> dict[str, Any]:
    return issuer.discovery()


@router.get("/oauth2/jwks", operation_id="jwks", summary="The keys that sign access tokens")
async def jwks(issuer: OwnIssuer) -> dict[str, Any]:
    return dict(issuer.public_keys.as_dict())


async def _read_form(request: Request) -> dict[str, str]:
    """RFC 6749, section 3.2: a parameter without a value counts as absent, a repeated one is an error."""
    if media_type_of(request) != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "the body must be application/x-www-form-urlencoded")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_LIMIT:
            raise OAuthError("invalid_request", f"the body is larger than {FORM_LIMIT} bytes")
    try:
        pairs = parse_qsl(body.decode(), errors="strict", max_num_fields=FIELD_LIMIT)
    except ValueError as error:  # also UnicodeDecodeError
        raise OAuthError("invalid_request", "the body is not a well-formed form") from error
    if repeated := [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]:
        raise OAuthError("invalid_request", f"the parameter {repeated[0][:64]} is repeated")
    return dict(pairs)
