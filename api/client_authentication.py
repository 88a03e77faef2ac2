"""How a client proves to the embedded issuer who it is (RFC 6749, section 2.3; RFC 7523)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from api.tokens import decode_signed
from config import ClientSettings, ConfigurationError
from state.assertions import AssertionLog

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME = 3600
"""Seconds; an assertion that lives longer would have to be remembered for as long (RFC 7523, section 3)."""
JTI_LIMIT = 256

_NOT_IN_DESCRIPTION = re.compile(r"[^ !#-\[\]-~]")


class OAuthError(Exception):
    """RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.status = error, status
        self.description = _NOT_IN_DESCRIPTION.sub("'", description)


class InvalidClientError(OAuthError):
    def __init__(self, description: str = "client authentication failed") -> None:
        super().__init__("invalid_client", description, 401)


class UnknownClientError(InvalidClientError):
    """On the wire it is a wrong secret, except for the older generation, whose table tells them apart."""


class WrongSecretError(InvalidClientError):
    pass


class ClientAuthenticator:
    def __init__(
        self,
        clients: tuple[ClientSettings, ...],
        assertions: AssertionLog,
        *,
        audiences: tuple[str, ...],
        leeway: float,
    ) -> None:
        """`audiences`: what an assertion may be made for. Raises ConfigurationError for unusable `jwks`."""
        self._secrets = {c.id: c.secret.get_secret_value() for c in clients if c.secret is not None}
        self._keys = {client.id: _import_keys(client) for client in clients if client.jwks is not None}
        self._assertions = assertions
        self._audiences = audiences
        self._leeway = int(leeway)

    async def authenticate(self, authorization: str | None, form: Mapping[str, str]) -> str:
        """The client's id. Raises OAuthError, UNREACHABLE."""
        assertion = form.get("client_assertion")
        methods = (authorization is not None) + ("client_secret" in form) + (assertion is not None)
        if methods > 1:  # RFC 6749, section 2.3
            raise OAuthError("invalid_request", "more than one method of client authentication")
        if authorization is not None:
            client_id, secret = _basic_credentials(authorization)
            if form.get("client_id", client_id) != client_id:
                raise InvalidClientError
            return self._check_secret(client_id, secret)
        if assertion is not None:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise OAuthError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}")
            return await self._check_assertion(assertion, form.get("client_id"))
        return self._check_secret(form.get("client_id", ""), form.get("client_secret", ""))

    def _check_secret(self, client_id: str, secret: str) -> str:
        known = self._secrets.get(client_id)
        # An unknown client takes as long as a wrong secret, so that ids cannot be found out by the clock.
        matches = hmac.compare_digest((known or str(uuid4())).encode(), secret.encode("utf-8", "replace"))
        if known and matches:
            return client_id
        if known:
            raise WrongSecretError
        # A client with keys of its own is known, but has no secret.
        raise InvalidClientError if client_id in self._keys else UnknownClientError

    async def _check_assertion(self, assertion: str, claimed: str | None) -> str:
        """RFC 7523, section 3: made by the client, for us, recently, and used once."""
        try:
            client_id = _unverified_subject(assertion)
            if claimed not in (None, client_id):
                raise InvalidClientError
            claims = decode_signed(assertion, self._keys[client_id]).claims
            now = int(time.time())
            jwt.JWTClaimsRegistry(
                now=now,
                leeway=self._leeway,
                iss={"essential": True, "value": client_id},
                sub={"essential": True, "value": client_id},
                aud={"essential": True, "values": list(self._audiences)},
                exp={"essential": True},
                jti={"essential": True},
            ).validate(claims)
        except KeyError as error:
            raise InvalidClientError from error
        except (JoseError, ValueError) as error:
            raise InvalidClientError(f"client assertion refused: {error}") from error
        lifetime = int(claims["exp"]) - now + self._leeway + 1
        if lifetime > ASSERTION_LIFETIME + 2 * self._leeway:
            raise InvalidClientError(
                f"client assertion refused: exp is more than {ASSERTION_LIFETIME} s ahead"
            )
        if len(claims["jti"]) > JTI_LIMIT:
            raise InvalidClientError(f"client assertion refused: jti is longer than {JTI_LIMIT} characters")
        if not await self._assertions.first_use(client_id, claims["jti"], lifetime):
            raise InvalidClientError("client assertion refused: it was used before")
        return client_id


def _import_keys(client: ClientSettings) -> KeySet:
    try:
        return KeySet.import_key_set(client.jwks)  # type: ignore[arg-type]  # checked by the call itself
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"clients: {client.id!r}: jwks is not a JSON Web Key Set: {error}"
        ) from error


def _basic_credentials(authorization: str) -> tuple[str, str]:
    """RFC 6749, section 2.3.1: both parts are form-encoded before they are joined."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClientError("the Authorization header's scheme must be Basic")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidClientError("the Authorization header is not well-formed") from error
    if not colon:
        raise InvalidClientError("the Authorization header is not well-formed")
    return unquote_plus(client_id), unquote_plus(secret)


def _unverified_subject(assertion: str) -> str:
    """Only tells whose keys the signature has to be checked with."""
    try:
        claims: Any = json.loads(extract_compact(assertion.encode("utf-8", "replace")).payload or b"")
    except RecursionError as error:
        raise ValueError("the claims are nested too deeply") from error
    if not isinstance(claims, dict) or not isinstance(subject := claims.get("sub"), str):
        raise ValueError("sub is missing")
    return subject
