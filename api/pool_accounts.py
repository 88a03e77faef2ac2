"""What an administrator does to the pools of minutes, by REST or by command; audited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from api.enterprise_directory import EnterpriseDirectory
from config import PoolSettings
from state.audit import AuditedAction, AuditLog
from state.pool import MINUTE, LedgerEntry, MinutePools, NoPoolError, PoolStatus, TopUpResult

REFERENCE_LIMIT = 200
"""Characters."""
MINUTES_LIMIT = 100_000_000
"""Of one top-up: Redis' scripts count exactly far beyond it."""


class TopUpError(ValueError):
    """This cannot be added to any pool; the message names what is wrong."""


class PoolAccounts:
    """Every method may raise one of `state.connection.UNREACHABLE`, SealedError or NoPoolError."""

    def __init__(
        self, directory: EnterpriseDirectory, pools: MinutePools, audit: AuditLog, *, actor: str
    ) -> None:
        """`actor`: who does it, for the audit."""
        self._directory = directory
        self._pools = pools
        self._audit = audit
        self._actor = actor

    async def all(self) -> dict[str, PoolStatus]:
        """By enterprise; without those that have no pool."""
        store = await self._directory.store()
        found = {one.id: one.profile.pool async for one in store.all() if one.profile.pool}
        return {one: await self._pools.show(one, settings) for one, settings in found.items()}

    async def show(self, enterprise_id: str) -> PoolStatus:
        return await self._pools.show(enterprise_id, await self._settings(enterprise_id))

    async def top_up(self, enterprise_id: str, *, minutes: int, reference: str) -> TopUpResult:
        """Once for each reference. Raises TopUpError, too."""
        settings = await self._settings(enterprise_id)
        if not 0 < minutes <= MINUTES_LIMIT:
            raise TopUpError(f"minutes: must be from 1 to {MINUTES_LIMIT}")
        if len(reference) > REFERENCE_LIMIT or not reference.isprintable() or not reference.strip():
            raise TopUpError(f"reference: must be 1 to {REFERENCE_LIMIT} visible characters")
        await self._audit.add(
            AuditedAction.POOL_TOPPED_UP,
            actor=self._actor,
            enterprise_id=enterprise_id,
            subject=reference,
            detail=f"{minutes} minutes",
        )
        return await self._pools.top_up(
            enterprise_id, settings, seconds=minutes * MINUTE, reference=reference
        )

    async def ledger(
        self,
        enterprise_id: str,
        start: datetime | None = None,
        end: datetime | None = None,
        after: str | None = None,
    ) -> AsyncIterator[LedgerEntry]:
        """What changed from `start` until before `end`, in order; `after`: behind the entry of that id.

        Also of an enterprise whose pool was taken away.
        """
        if not await self._pools.has_ledger(enterprise_id):
            await self._settings(enterprise_id)
        async for entry in self._pools.ledger(enterprise_id, start, end, after):
            yield entry

    async def _settings(self, enterprise_id: str) -> PoolSettings:
        enterprise = await (await self._directory.store()).get(enterprise_id)
        if enterprise is None:
            raise NoPoolError(f"there is no enterprise {enterprise_id[:64]!r}")
        if enterprise.profile.pool is None:
            raise NoPoolError(f"the enterprise {enterprise_id!r} has no pool of minutes")
        return enterprise.profile.pool
