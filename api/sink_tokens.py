"""Access tokens for sinks whose clients have an authorization server (RFC 7523, private_key_jwt)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4
from weakref import WeakValueDictionary

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.sink_transport import read_limited

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFETIME = 60
"""Seconds."""
MARGIN = 10.0
"""Seconds before its end when a token is used no more: it must last until the sink has looked at it."""
UNSTATED_LIFETIME = 60.0
"""Seconds that a token without `expires_in` is used."""
KEPT_AT_MOST = 10_000
PLAIN = {"Accept": "application/json", "Accept-Encoding": "identity"}


class TokenUnavailableError(Exception):
    """The sink's token endpoint gave no token; the message says why, without the client's words."""


class TokenResponse(BaseModel):
    """RFC 6749, section 5.1."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    access_token: Annotated[str, Field(pattern=r"^[!-~]{1,16384}$")]
    token_type: Annotated[str, Field(pattern=r"^[Bb][Ee][Aa][Rr][Ee][Rr]$")]
    expires_in: Annotated[float, Field(ge=0, le=10 * 365 * 86400)] = UNSTATED_LIFETIME


@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    client_id: str
    token_uri: str


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    good_until: float


class SinkTokens:
    """One token for each credential, asked for when it is needed, kept while it is good."""

    def __init__(
        self, http: httpx2.AsyncClient, key: ECKey, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`http`: connects only to where sinks may be; `key`: its public half is published."""
        self._http = http
        self._key = key
        self._clock = clock
        self._tokens: dict[PrivateKeyJwt, _Token] = {}
        self._locks: WeakValueDictionary[PrivateKeyJwt, asyncio.Lock] = WeakValueDictionary()

    async def token(self, credential: PrivateKeyJwt) -> str:
        """Raises TokenUnavailableError, httpx2.HTTPError, httpx2.InvalidURL."""
        lock = self._locks.setdefault(credential, asyncio.Lock())
        async with lock:  # what waits here is served by the first one's token
            kept = self._tokens.get(credential)
            if kept is None or kept.good_until <= self._clock():
                kept = await self._ask(credential)
                self._keep(credential, kept)
            return kept.value

    def refused(self, credential: PrivateKeyJwt, token: str) -> None:
        """The sink does not take it: the next delivery asks for another one."""
        kept = self._tokens.get(credential)
        if kept is not None and kept.value == token:
            del self._tokens[credential]

    def _keep(self, credential: PrivateKeyJwt, token: _Token) -> None:
        if len(self._tokens) >= KEPT_AT_MOST:
            self._tokens.clear()
        self._tokens[credential] = token

    async def _ask(self, credential: PrivateKeyJwt) -> _Token:
        asked_at = self._clock()
        form = {
            "grant_type": "client_credentials",
            "client_id": credential.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(credential),
        }
        async with self._http.stream("POST", credential.token_uri, data=form, headers=PLAIN) as response:
            body = await read_limited(response)
        if response.status_code != 200:
            raise TokenUnavailableError(f"token endpoint: HTTP {response.status_code}")
        try:
            answer = TokenResponse.model_validate_json(body)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            reason = f"token endpoint: unusable answer ({where} {problem['type']})"
            raise TokenUnavailableError(reason) from error
        return _Token(answer.access_token, asked_at + answer.expires_in - MARGIN)

    def _assertion(self, credential: PrivateKeyJwt) -> str:
        """RFC 7523, section 3."""
        now = int(time.time())
        claims = {
            "iss": credential.client_id,
            "sub": credential.client_id,
            "aud": credential.token_uri,
            "iat": now,
            "exp": now + ASSERTION_LIFETIME,
            "jti": str(uuid4()),
        }
        header = {"alg": "ES256", "typ": "JWT", "kid": self._key.kid}
        return jwt.encode(header, claims, self._key, algorithms=["ES256"])
