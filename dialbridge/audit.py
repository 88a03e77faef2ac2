"""`dialbridge audit export`: who did what, as JSON lines."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime

from config import Settings
from state.audit import AuditLog
from state.connection import connect
from state.keys import Keys


def export(settings: Settings, *, start: datetime, end: datetime) -> int:
    """Write the entries of [start, end) to standard output; how many.

    Raises one of `state.connection.UNREACHABLE`, or ConfigurationError.
    """
    return asyncio.run(_export(settings, start, end))


async def _export(settings: Settings, start: datetime, end: datetime) -> int:
    count = 0
    async with connect(settings.redis_url) as redis:
        keys = Keys(settings.redis.prefix)
        log = AuditLog(redis, keys, retention_days=settings.privacy.audit_retention_days)
        async for entry in log.between(start, end):
            sys.stdout.write(entry.model_dump_json(exclude_none=True) + "\n")
            count += 1
    return count
