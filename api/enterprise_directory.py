"""Which enterprise is behind a token."""

from __future__ import annotations

import asyncio
import time
from weakref import WeakValueDictionary

import structlog

from api.tokens import AccessToken
from config import Settings
from state.enterprises import Enterprise, EnterpriseStore

log = structlog.get_logger()

KNOWN_FOR = 5.0
"""Seconds that `known` relies on what it has read."""


class EnterpriseDirectory:
    """The store, once it has what the settings file says.

    Every method may raise one of `state.connection.UNREACHABLE`.
    """

    def __init__(self, store: EnterpriseStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._provisioned = False
        self._provisioning = asyncio.Lock()
        self._known: dict[str, tuple[float, Enterprise | None]] = {}
        self._looking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Whoever needs the same enterprise meanwhile waits for it."""

    async def store(self) -> EnterpriseStore:
        if self._provisioned:
            return self._store
        async with self._provisioning:
            if not self._provisioned:
                for enterprise_id in await self._store.provision(self._settings):
                    log.info("enterprise_provisioned", enterprise_id=enterprise_id)
                self._provisioned = True
        return self._store

    def is_of_settings(self, client_id: str) -> bool:
        """Whether the settings file says for which enterprise the client acts."""
        return self._settings.enterprise_of(client_id) is not None

    def clients_of_settings(self, enterprise_id: str) -> list[str]:
        return [client.id for client in self._settings.clients if client.enterprise == enterprise_id]

    async def of(self, token: AccessToken) -> Enterprise | None:
        """As the token's claim names it, else the client's: by the settings, else by the store."""
        store = await self.store()
        enterprise_id = (
            token.enterprise_id
            or self._settings.enterprise_of(token.client_id)
            or await store.enterprise_of(token.client_id)
        )
        return None if enterprise_id is None else await store.get(enterprise_id)

    async def known(self, enterprise_id: str) -> Enterprise | None:
        """As it was at most KNOWN_FOR seconds ago. Raises SealedError, too."""
        if not self._is_known(enterprise_id):
            lock = self._looking.setdefault(enterprise_id, asyncio.Lock())
            async with lock:
                if not self._is_known(enterprise_id):
                    now = time.monotonic()
                    enterprise = await (await self.store()).get(enterprise_id)
                    self._known[enterprise_id] = now, enterprise
        return self._known[enterprise_id][1]

    def _is_known(self, enterprise_id: str) -> bool:
        read_at, _ = self._known.get(enterprise_id, (-KNOWN_FOR, None))
        return time.monotonic() - read_at < KNOWN_FOR
