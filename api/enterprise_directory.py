"""Which enterprise is behind a token."""

from __future__ import annotations

import asyncio

import structlog

from api.tokens import AccessToken
from config import Settings
from state.enterprises import Enterprise, EnterpriseStore

log = structlog.get_logger()


class EnterpriseDirectory:
    """The store, once it has what the settings file says.

    Every method may raise one of `state.connection.UNREACHABLE`.
    """

    def __init__(self, store: EnterpriseStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._provisioned = False
        self._provisioning = asyncio.Lock()

    async def store(self) -> EnterpriseStore:
        async with self._provisioning:
            if not self._provisioned:
                for enterprise_id in await self._store.provision(self._settings):
                    log.info("enterprise_provisioned", enterprise_id=enterprise_id)
                self._provisioned = True
        return self._store

    async def of(self, token: AccessToken) -> Enterprise | None:
        """As the token's claim names it, else the client's: by the settings, else by the store."""
        store = await self.store()
        enterprise_id = (
            token.enterprise_id
            or self._settings.enterprise_of(token.client_id)
            or await store.enterprise_of(token.client_id)
        )
        return None if enterprise_id is None else await store.get(enterprise_id)
