"""The whole product as these tests talk to it: one client, and everything Redis knows."""

from __future__ import annotations

from typing import Any

import httpx2
from redis.asyncio import Redis

from state.call import Call, CallEvent
from state.engines import EngineRegistry, EngineStatus
from state.keys import Keys
from tests.support.calls_client import TERMINAL, CallsClient
from tests.support.stack import Stack
from tests.support.waiting import wait_until


class Product(Stack):
    """Use as a context manager."""

    def start(self) -> None:
        super().start()
        self.rest: CallsClient = self.client()
        self._exit.callback(self.rest.__exit__, None, None, None)

    def stop_redis(self) -> None:
        self._redis.stop()

    def start_redis(self) -> None:
        """With what its append-only file holds."""
        self._redis.start()

    def refuse_writes(self) -> None:
        """Redis answers reads, and every write with an out-of-memory error."""
        self.with_redis(lambda redis, _: redis.config_set("maxmemory", "1"))

    def take_writes(self) -> None:
        self.with_redis(lambda redis, _: redis.config_set("maxmemory", "0"))

    def create(self, caller: str, callee: str, **fields: Any) -> str:
        """The callId of a new call."""
        return self.rest.dial(caller, callee, **fields)

    def post(self, caller: str, callee: str) -> httpx2.Response:
        return self.rest.create(caller, callee)

    def status(self, call_id: str) -> str:
        return self.rest.state(call_id)

    def delete(self, call_id: str) -> int:
        """The status code."""
        return self.rest.delete(call_id).status_code

    def wait_status(self, call_id: str, state: str, timeout: float = 15.0) -> None:
        self.rest.wait_state(call_id, state, timeout)

    def wait_ended(self, call_id: str, timeout: float = 15.0) -> Call:
        """The record of a call once GET says that it has ended."""
        wait_until(lambda: self.status(call_id) in TERMINAL, timeout, "the end of the call")
        return self.call(call_id)

    def events(self, call_id: str) -> list[CallEvent]:
        return self.with_redis(lambda redis, keys: self._calls(redis, keys).events(call_id))

    def call_ids(self) -> list[str]:
        """Of all calls there have been."""
        return [key.split(":")[2] for key in self.redis_keys() if key.endswith(":events")]

    def engine_status(self) -> EngineStatus:
        (status,) = self.engines()
        return status

    def engine_sip_port(self) -> int:
        return int(self.engine_status().sip_address.rsplit(":", 1)[1])

    def wait_idle(self, timeout: float = 15.0) -> EngineStatus:
        """Until the engine holds no call, leg, recorder, timer or bridge port."""

        def idle() -> bool:
            now = self.engine_status()
            return (now.calls, now.legs, now.bridge_ports, now.recorders, now.timers) == (0, 0, 0, 0, 0)

        wait_until(idle, timeout, "an idle engine")
        return self.engine_status()

    def wait_commands(self, count: int) -> None:
        """Until so many commands wait for the engine."""

        async def waiting(redis: Redis, keys: Keys) -> int:
            (engine_id,) = [status.engine_id for status in await self._registry(redis, keys).statuses()]
            return int(await redis.xlen(keys.commands(engine_id)))

        wait_until(lambda: self.with_redis(waiting) >= count, 1.5, f"{count} commands")

    def wait_no_key(self, *starts: str, timeout: float = 10.0) -> None:
        """Until no key of the product begins with one of these, after its prefix."""
        for start in starts:
            wait_until(lambda start=start: not self.has_key(start), timeout, f"no key {start}")  # type: ignore[misc]

    def has_key(self, start: str) -> bool:
        """Whether a key of the product begins so, after its prefix."""
        return any(key.split(":", 1)[1].startswith(start) for key in self.redis_keys())

    def _registry(self, redis: Redis, keys: Keys) -> EngineRegistry:
        return EngineRegistry(redis, keys, lost_after=self.settings.engine.lost_after)
