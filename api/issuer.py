"""The embedded OAuth 2.0 issuer of the lab: the client_credentials grant, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from api.client_authentication import ClientAuthenticator, OAuthError
from api.signing_key import public_keys
from api.tokens import ALGORITHMS, Scope
from config import ClientSettings
from config.settings import AuthSettings
from state.assertions import AssertionLog


class Issuer:
    def __init__(
        self,
        settings: AuthSettings,
        clients: tuple[ClientSettings, ...],
        *,
        issuer: str,
        key: ECKey,
        assertions: AssertionLog,
    ) -> None:
        """Raises ConfigurationError for a client's `jwks` that are no keys."""
        self.issuer = issuer
        self.token_endpoint = f"{issuer.rstrip('/')}/oauth2/token"
        self._settings = settings
        self._key = key
        self._scopes = {client.id: _scopes_of(client) for client in clients}
        self._authenticator = ClientAuthenticator(
            clients, assertions, audiences=(self.token_endpoint, issuer), leeway=settings.leeway
        )

    @property
    def public_keys(self) -> KeySet:
        return public_keys(self._key)

    def discovery(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0, section 3."""
        base = self.issuer.rstrip("/")
        return {
            "issuer": self.issuer,
            "token_endpoint": self.token_endpoint,
            "jwks_uri": f"{base}/oauth2/jwks",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "scopes_supported": [scope.value for scope in Scope],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic",
                "client_secret_post",
                "private_key_jwt",
            ],
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        }

    async def client_of(self, authorization: str) -> str:
        """The id of a client with HTTP Basic authentication. Raises OAuthError."""
        return await self._authenticator.authenticate(authorization, {})

    async def grant(self, authorization: str | None, form: Mapping[str, str]) -> dict[str, Any]:
        """The token response (RFC 6749, section 5.1). Raises OAuthError, UNREACHABLE."""
        client_id = await self._authenticator.authenticate(authorization, form)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "grant_type is missing")
        if grant_type != "client_credentials":
            raise OAuthError("unsupported_grant_type", "only client_credentials is supported")
        scope = _granted_scope(form.get("scope"), self._scopes[client_id])
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": client_id,
            "aud": self._settings.audience,
            "exp": now + self._settings.token_lifetime,
            "iat": now,
            "jti": str(uuid4()),
            "client_id": client_id,
            "scope": scope,
        }
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self._key.kid}
        return {
            "access_token": jwt.encode(header, claims, self._key, algorithms=["ES256"]),
            "token_type": "Bearer",
            "expires_in": self._settings.token_lifetime,
            "scope": scope,
        }


def _scopes_of(client: ClientSettings) -> list[str]:
    return [scope.value for scope in Scope if scope is not Scope.ADMIN or client.admin]


def _granted_scope(requested: str | None, allowed: list[str]) -> str:
    """RFC 6749, section 3.3. All scopes allowed when the client asks for none in particular."""
    if requested is None:
        return " ".join(allowed)
    wanted = requested.split(" ")
    if refused := [scope for scope in wanted if scope not in allowed]:
        raise OAuthError("invalid_scope", f"unknown scope, or not for this client: {refused[0][:100]!r}")
    return " ".join(dict.fromkeys(wanted))
