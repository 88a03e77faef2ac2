"""The public keys that access tokens are verified with."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import httpx2
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

log = structlog.get_logger()

REFRESH_INTERVAL = 30.0
"""Seconds between fetches that unknown key ids cause: a stranger's tokens must not flood the provider."""
RETRY_INTERVAL = 1.0
"""Seconds between attempts while there are no keys at all."""
MAX_AGE = 300.0
"""Seconds until keys are fetched anew, so that a withdrawn key stops working."""


class KeysUnavailableError(Exception):
    """The identity provider's keys cannot be had now."""


class TokenKeys(Protocol):
    async def current(self) -> KeySet:
        """Raises KeysUnavailableError."""

    async def newer(self) -> KeySet | None:
        """Keys fetched because the current ones lack a key id; None if it is too early to ask again."""


class OwnKeys:
    """The embedded issuer's."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def current(self) -> KeySet:
        return self._keys

    async def newer(self) -> KeySet | None:
        return None


class ProviderKeys:
    """An OpenID provider's JWKS; unless its URL is given, found by OpenID Connect Discovery 1.0."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        issuer: str,
        jwks_url: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._clock = clock
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._keys: KeySet | None = None
        self._fetched_at = self._next_attempt = -math.inf
        self._lock = asyncio.Lock()

    async def current(self) -> KeySet:
        if self._keys is None or self._clock() - self._fetched_at > MAX_AGE:
            await self.newer()
        if self._keys is None:
            raise KeysUnavailableError
        return self._keys

    async def newer(self) -> KeySet | None:
        asked_at = self._clock()
        async with self._lock:
            if self._fetched_at > asked_at:  # somebody else fetched while we waited for the lock
                return self._keys
            if self._clock() < self._next_attempt:
                return None
            self._next_attempt = self._clock() + REFRESH_INTERVAL
            try:
                keys = await self._fetch()
            except (httpx2.HTTPError, httpx2.InvalidURL, JoseError, ValueError, KeyError, TypeError) as error:
                if self._keys is None:
                    self._next_attempt = self._clock() + RETRY_INTERVAL
                log.warning("token_keys_unavailable", issuer=self._issuer, error=repr(error))
                return None
            self._keys, self._fetched_at = keys, self._clock()
            return keys

    async def _fetch(self) -> KeySet:
        url = self._jwks_url
        if url is None:
            discovery = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if discovery["issuer"] != self._issuer:
                raise ValueError(f"discovery names the issuer {discovery['issuer']!r}")
            url = str(discovery["jwks_uri"])
        return KeySet.import_key_set({"keys": (await self._get(url))["keys"]})

    async def _get(self, url: str) -> dict[str, Any]:
        response = await self._http.get(url)
        response.raise_for_status()
        document = response.json()
        if not isinstance(document, dict):
            raise ValueError(f"{url} is not a JSON object")
        return document
