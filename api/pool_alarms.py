"""Pools of minutes that run low: a line in the log for each, and an event if the enterprise wants one."""

from __future__ import annotations

import asyncio

import structlog

from api.enterprise_directory import EnterpriseDirectory
from api.errors import InvalidArgumentError
from api.sink_addresses import SinkAddresses
from api.sinks import check_sink
from state.connection import UNREACHABLE
from state.pool import LowWater, PoolAlarms
from state.vault import SealedError

log = structlog.get_logger()

WAIT = 5.0
"""Seconds one blocking read lasts; below the Redis client's socket timeout."""
OUTAGE_DELAY = 0.5
"""Seconds between attempts to reach Redis again."""


class LowPoolTeller:
    """Each alarm is told once over all notifiers: the outbox has its event, or nobody wanted one."""

    def __init__(
        self,
        alarms: PoolAlarms,
        enterprises: EnterpriseDirectory,
        addresses: SinkAddresses,
        *,
        allow_insecure: bool,
    ) -> None:
        self._alarms = alarms
        self._enterprises = enterprises
        self._addresses = addresses
        self._allow_insecure = allow_insecure

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                waiting = [alarm for alarm in await self._alarms.read(WAIT) if not await self._tell(alarm)]
                if waiting:
                    await asyncio.sleep(WAIT)
            except UNREACHABLE:
                await asyncio.sleep(OUTAGE_DELAY)
            except Exception:
                log.exception("pool_alarms_failed")  # they must not stop the notifier
                await asyncio.sleep(WAIT)

    async def _tell(self, alarm: LowWater) -> bool:
        """False: it cannot be told yet."""
        entry = log.bind(enterprise_id=alarm.enterprise_id, balance_seconds=alarm.balance)
        try:
            enterprise = await (await self._enterprises.store()).get(alarm.enterprise_id)
        except SealedError:
            entry.error("alarm_waits_for_key")  # what should be signed is not sent without
            return False
        sink = None if enterprise is None else enterprise.profile.alerts_sink
        if sink is not None:
            try:
                check_sink(sink, self._addresses, allow_insecure=self._allow_insecure, name="alerts_sink")
            except InvalidArgumentError as error:
                entry.error("alerts_sink_refused", reason=str(error))
                sink = None
        if await self._alarms.tell(alarm, sink):
            entry.warning("pool_is_low")
        return True
