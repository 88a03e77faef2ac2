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

from api.enterprise_directory import EnterpriseDirectory
from api.pool_accounts import PoolAccounts
from config import Settings
from dialbridge.command import actor, quieten
from state.audit import AuditLog
from state.connection import connect
from state.enterprises import EnterpriseStore
from state.keys import Keys
from state.pool import MinutePools, TopUpResult
from state.pool_check import PoolCheck
from state.vault import Vault


@dataclass(frozen=True, slots=True)
class Books:
    redis: Redis
    keys: Keys
    enterprises: EnterpriseStore
    accounts: PoolAccounts


@asynccontextmanager
async def _books(settings: Settings) -> AsyncIterator[Books]:
    quieten(settings)
    async with connect(settings.redis_url) as redis:
        keys = Keys(settings.redis.prefix)
        directory = EnterpriseDirectory(EnterpriseStore(redis, keys, Vault(settings.privacy)), settings)
        audit = AuditLog(redis, keys, retention_days=settings.privacy.audit_retention_days)
        accounts = PoolAccounts(directory, MinutePools(redis, keys), audit, actor=actor())
        yield Books(redis, keys, await directory.store(), accounts)


def show(settings: Settings, enterprise_id: str | None) -> None:
    """Print a JSON line for the enterprise's pool, or for each. Here and below:

    Raises one of `state.connection.UNREACHABLE`, ConfigurationError, SealedError or NoPoolError.
    """
    asyncio.run(_show(settings, enterprise_id))


def top_up(settings: Settings, enterprise_id: str, *, minutes: int, reference: str) -> TopUpResult:
    """Raises TopUpError, too."""
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
            found = await books.accounts.all()
        else:
            found = {enterprise_id: await books.accounts.show(enterprise_id)}
    for one, status in found.items():
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
        return await books.accounts.top_up(enterprise_id, minutes=minutes, reference=reference)


async def _ledger(settings: Settings, enterprise_id: str, start: datetime, end: datetime) -> None:
    async with _books(settings) as books:
        async for entry in books.accounts.ledger(enterprise_id, start, end):
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
