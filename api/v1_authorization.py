"""Who may do what in the older generation: a bearer token, or a client's id and secret (HTTP Basic)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPBasic, OpenIdConnect, SecurityScopes

from api.authorization import Client, authorize, client_of
from api.client_authentication import OAuthError, UnknownClientError, WrongSecretError
from api.errors import UnauthenticatedError
from api.services import Services, get_services
from api.tokens import AccessToken
from api.v1_results import Refusal, RefusedError

open_id = OpenIdConnect(
    openIdConnectUrl="/.well-known/openid-configuration", scheme_name="openId", auto_error=False
)


class DocumentedBasic(HTTPBasic):
    async def __call__(self, request: HTTPConnection) -> None:
        """What is wrong with the header is not for the framework to say."""


basic = DocumentedBasic(scheme_name="basic", description="Only with the embedded issuer.")


async def authorize_v1(
    request: Request,
    required: SecurityScopes,
    services: Annotated[Services, Depends(get_services)],
    documented: Annotated[str | None, Security(open_id)] = None,
    documented_too: Annotated[None, Security(basic)] = None,
) -> Client:
    """The client behind a request. Raises ApiError, RefusedError."""
    del documented, documented_too
    given = request.headers.getlist("authorization")
    if len(given) == 1 and given[0].lower().startswith("basic "):
        return await client_of(AccessToken(await _client_id(services, given[0]), frozenset()), services)
    return await authorize(request, required, services)


async def _client_id(services: Services, authorization: str) -> str:
    """Raises RefusedError; UnauthenticatedError where only the provider knows the clients' secrets."""
    if services.issuer is None:
        raise UnauthenticatedError
    try:
        return await services.issuer.client_of(authorization)
    except WrongSecretError as error:
        raise RefusedError(Refusal.PASSWORD) from error
    except UnknownClientError as error:
        raise RefusedError(Refusal.USER_NOT_EXIST) from error
    except OAuthError as error:
        raise UnauthenticatedError from error
