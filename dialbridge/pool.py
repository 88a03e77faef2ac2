"""`dialbridge pool`: the minutes of enterprises, shown, topped up and checked."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis

from config import PoolSettings, Settings
from dialbridge.command import actor
from state.audit import AuditedAction, AuditLog
from state.connection import connect
from state.enterprises import EnterpriseStore
from state.keys import Keys
from state.pool import MINUTE, MinutePools, NoPoolError, TopUpResult
from state.pool_check import PoolCheck
from state.vault import Vault


@dataclass(frozen=True, slots=True)
class Books:
    redis: Redis
    keys: Keys
    enterprises: EnterpriseStore
    pools: MinutePools

    async def settings(self, enterprise_id: str) -> PoolSettings:
        """Raises NoPoolError."""
        enterprise = await self.enterprises.get(enterprise_id)
        if enterprise is None:
            raise NoPoolError(f"there is no enterprise {enterprise_id!r}")
        if enterprise.profile.pool is None:
            raise NoPoolError(f"the enterprise {enterprise_id!r} has no pool of minutes")
        return enterprise.profile.pool

    async def with_pool(self) -> dict[str, PoolSettings]:
        """By enterprise."""
        return {one.id: one.profile.pool async for one in self.enterprises.all() if one.profile.pool}


@asynccontextmanager
async def _books(settings: Settings) -> AsyncIterator[Books]:
    async with connect(settings.redis_url) as redis:
        keys = Keys(settings.redis.prefix)
        enterprises = EnterpriseStore(redis, keys, Vault(settings.privacy))
        await enterprises.provision(settings)
        yield Books(redis, keys, enterprises, MinutePools(redis, keys))


def show(settings: Settings, enterprise_id: str | None) -> None:
    """Print a JSON line for the enterprise's pool, or for each. Here and below:

    Raises one of `state.connection.UNREACHABLE`, ConfigurationError, or NoPoolError.
    """
    asyncio.run(_show(settings, enterprise_id))


def top_up(settings: Settings, enterprise_id: str, *, minutes: int, reference: str) -> TopUpResult:
    return asyncio.run(_top_up(settings, enterprise_id, minutes, reference))


def ledger(settings: Settings, enterprise_id: str, *, start: datetime, end: datetime) -> None:
    """Print a JSON line for each entry of [start, end)."""
    asyncio.run(_ledger(settings, enterprise_id, start, end))


def check(settings: Settings) -> int:
    """Print a JSON line for each discrepancy; how many."""
    return asyncio.run(_check(settings))


async def _show(settings: Settings, enterprise_id: str | None) -> None:
    async with _books(settings) as books:
        if enterprise_id is None:
            wanted = await books.with_pool()
        else:
            wanted = {enterprise_id: await books.settings(enterprise_id)}
        for one, pool in wanted.items():
            status = await books.pools.show(one, pool)
            line = {
                "enterprise_id": one,
                "balance": status.balance,
                "reserved": status.reserved,
                "free": status.free,
                "month": status.month,
                "low": status.is_low,
            }
            sys.stdout.write(json.dumps(line) + "\n")


async def _top_up(settings: Settings, enterprise_id: str, minutes: int, reference: str) -> TopUpResult:
    async with _books(settings) as books:
        pool = await books.settings(enterprise_id)
        audit = AuditLog(books.redis, books.keys, retention_days=settings.privacy.audit_retention_days)
        await audit.add(
            AuditedAction.POOL_TOPPED_UP,
            actor=actor(),
            enterprise_id=enterprise_id,
            subject=reference,
            detail=f"{minutes} minutes",
        )
        return await books.pools.top_up(enterprise_id, pool, seconds=minutes * MINUTE, reference=reference)


async def _ledger(settings: Settings, enterprise_id: str, start: datetime, end: datetime) -> None:
    async with _books(settings) as books:
        async for entry in books.pools.ledger(enterprise_id, start, end):
            sys.stdout.write(entry.model_dump_json() + "\n")


async def _check(settings: Settings) -> int:
    async with _books(settings) as books:
        enterprises = [enterprise.id async for enterprise in books.enterprises.all()]
        found = await PoolCheck(books.redis, books.keys, retention=settings.call.retention).run(enterprises)
    for one in found:
        line = {"enterprise_id": one.enterprise_id, "call_id": one.call_id, "what": one.what}
        sys.stdout.write(json.dumps(line) + "\n")
    sys.stderr.write(f"{len(enterprises)} enterprises checked\n")
    return len(found)
