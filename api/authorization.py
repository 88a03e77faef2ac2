"""Who may do what: a valid token (401), then its scope and a provisioned client (403)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import OpenIdConnect, SecurityScopes

from api.errors import InsufficientScopeError, PermissionDeniedError, redis_reachable
from api.services import Services, get_services
from api.tokens import AccessToken
from state.call import Call
from state.enterprises import Enterprise

open_id = OpenIdConnect(
    openIdConnectUrl="/.well-known/openid-configuration",
    scheme_name="openId",
    description="OpenID Connect authentication via discovery metadata.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True)
class Client:
    id: str
    enterprise: Enterprise
    phone_number: str | None = None
    """With a three-legged token: the only number that may be a caller."""

    def may_see(self, call: Call) -> bool:
        ours = (call.client_id, call.enterprise_id) == (self.id, self.enterprise.id)
        return ours and self.phone_number in (None, call.caller)


async def authorize(
    request: Request,
    required: SecurityScopes,
    services: Annotated[Services, Depends(get_services)],
    documented: Annotated[str | None, Security(open_id)] = None,
) -> Client:
    """The client behind a request.

    Raises UnauthenticatedError, InsufficientScopeError, PermissionDeniedError, UnavailableError.
    """
    del documented  # only declared for the OpenAPI document
    token = await verified(request, required.scopes, services)
    return await client_of(token, services)


async def client_of(token: AccessToken, services: Services) -> Client:
    """Raises PermissionDeniedError, UnavailableError."""
    with redis_reachable():
        enterprise = await services.enterprises.of(token)
    if enterprise is None:
        raise PermissionDeniedError
    return Client(token.client_id, enterprise, token.phone_number)


async def verified(request: Request, scopes: Iterable[str], services: Services) -> AccessToken:
    """The token of a request. Raises UnauthenticatedError, InsufficientScopeError, UnavailableError."""
    token = await services.verifier.verify_header(request.headers.getlist("authorization"))
    for scope in scopes:
        if scope not in token.scopes:
            raise InsufficientScopeError(scope)
    return token
