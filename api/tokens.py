"""Access tokens: who is calling, and for what (RFC 6750, RFC 9068)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from joserfc.jwt import Token

from api.errors import UnauthenticatedError, UnavailableError
from api.token_keys import KeysUnavailableError, TokenKeys
from config.settings import AuthSettings

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""Asymmetric only: with a public key taken for an HMAC secret, anybody could sign (RFC 8725, section 3.1)."""

_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE | re.ASCII)
"""RFC 6750, section 2.1."""

# RFC 9864 renames EdDSA to Ed25519; providers still say EdDSA, and the library warns of it on each use.
warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)


class Scope(StrEnum):
    CALLS_CREATE = "click-to-dial:calls:create"
    CALLS_READ = "click-to-dial:calls:read"
    CALLS_DELETE = "click-to-dial:calls:delete"
    RECORDINGS_READ = "click-to-dial:recordings:read"
    ADMIN = "dialbridge:admin"
    """To `/admin/v1`."""


TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""RFC 9068, section 2.1, and what providers older than it write: a logout token, say, opens nothing."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    client_id: str
    scopes: frozenset[str]
    phone_number: str | None = None
    """Whose consent a three-legged token carries."""
    enterprise_id: str | None = None
    """Named by the provider."""


class TokenVerifier:
    def __init__(self, keys: TokenKeys, settings: AuthSettings, *, issuer: str) -> None:
        self._keys = keys
        self._settings = settings
        self._claims = jwt.JWTClaimsRegistry(
            leeway=int(settings.leeway),
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
        )

    async def verify_header(self, authorization: list[str]) -> AccessToken:
        """The token of a request's `Authorization` headers.

        Raises UnauthenticatedError; UnavailableError while the provider's keys cannot be had.
        """
        found = _BEARER.fullmatch(authorization[0].strip()) if len(authorization) == 1 else None
        if found is None:
            raise UnauthenticatedError
        return await self.verify(found[1])

    async def verify(self, token: str) -> AccessToken:
        """Raises UnauthenticatedError, UnavailableError."""
        try:
            keys = await self._keys.current()
        except KeysUnavailableError as error:
            raise UnavailableError("The identity provider's keys cannot be had now.") from error
        try:
            claims = await self._decode(token, keys)
            self._claims.validate(claims)
            return AccessToken(
                _client_of(claims),
                _scopes_of(claims),
                _text_of(claims, self._settings.phone_number_claim),
                _text_of(claims, self._settings.enterprise_claim),
            )
        except (JoseError, ValueError) as error:
            raise UnauthenticatedError("The access token is invalid or expired") from error

    async def _decode(self, token: str, keys: KeySet) -> dict[str, Any]:
        try:
            decoded = decode_signed(token, keys)
        except InvalidKeyIdError:
            # The provider may have begun to sign with a new key.
            newer = await self._keys.newer()
            if newer is None:
                raise
            decoded = decode_signed(token, newer)
        if str(decoded.header.get("typ", "")).lower() not in TYPES:
            raise ValueError("the token is no access token")
        return decoded.claims


def decode_signed(token: str, keys: KeySet) -> Token:
    """A JWT with a good signature. Raises JoseError, ValueError."""
    # Providers add header parameters of their own; only the critical ones must be understood
    # (RFC 7515, section 4.1.11).
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    return jwt.decode(token, keys, algorithms=ALGORITHMS, registry=registry)


def _client_of(claims: Mapping[str, Any]) -> str:
    """RFC 9068 names the client in `client_id`, OpenID Connect in `azp`; a machine client is the `sub`."""
    for name in ("client_id", "azp", "sub"):
        if isinstance(value := claims.get(name), str) and value:
            return value
    raise ValueError("the token names no client")


def _text_of(claims: Mapping[str, Any], name: str | None) -> str | None:
    value = claims.get(name) if name else None
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ValueError(f"the token's {name} is no text")
    return value


def _scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """RFC 9068, section 2.2.3: separated by spaces; some providers send a list."""
    value = claims.get("scope", "")
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list):
        return frozenset(scope for scope in value if isinstance(scope, str))
    raise ValueError("the token's scope is neither a string nor a list")
