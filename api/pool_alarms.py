"""Pools of minutes that are running low: a line in the log for each, once over all notifiers."""

from __future__ import annotations

import asyncio

import structlog

from state.connection import UNREACHABLE
from state.pool import PoolAlarms

log = structlog.get_logger()

WAIT = 5.0
"""Seconds one blocking read lasts; below the Redis client's socket timeout."""
OUTAGE_DELAY = 0.5
"""Seconds between attempts to reach Redis again."""


async def tell_low_pools(alarms: PoolAlarms) -> None:
    """Until cancelled."""
    while True:
        try:
            for alarm in await alarms.read(WAIT):
                log.warning("pool_is_low", enterprise_id=alarm.enterprise_id, balance_seconds=alarm.balance)
        except UNREACHABLE:
            await asyncio.sleep(OUTAGE_DELAY)
        except Exception:
            log.exception("pool_alarms_failed")  # they must not stop the notifier
            await asyncio.sleep(OUTAGE_DELAY)
