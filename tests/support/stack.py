"""The real product for a test: Redis, engine, api and notifier as processes of this machine."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx2
from redis.asyncio import Redis

from config import Settings, load_settings
from config.settings import CONFIG_VARIABLE
from dialbridge.child import Child, ChildSpec, describe_exit
from dialbridge.ports import HOST, free_tcp
from state.call import Call
from state.calls import CallStore
from state.connection import connect
from state.embedded import EmbeddedRedis
from state.engines import EngineRegistry, EngineStatus
from state.keys import Keys
from state.sip_trace import SipMessage, SipTrace
from tests.support import evidence
from tests.support.calls_client import CallsClient
from tests.support.lossy_path import ENGINE_HOST, LossyPath
from tests.support.stack_settings import (
    CLIENT_ID,
    CLIENT_SECRET,
    OTHER_CLIENT_ID,
    OTHER_CLIENT_SECRET,
    Overrides,
    write_settings,
)
from tests.support.waiting import wait_until

Result = TypeVar("Result")
START_WITHIN = 30.0


class Process:
    """One of the product's processes; may be killed and started again."""

    def __init__(self, name: str, command: Sequence[str], *, config: Path, log: Path) -> None:
        self.name = name
        self.log = log
        self._spec = ChildSpec(name, tuple(command), environment={CONFIG_VARIABLE: str(config)}, output=log)
        self._child: Child | None = None

    def start(self) -> None:
        self._child = Child(self._spec)

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM and wait; the exit status. Raises AssertionError if it has to be killed."""
        child = self._running
        if child.exit_status() is None:
            child.terminate()
        try:
            return child.process.wait(timeout)
        except subprocess.TimeoutExpired:
            child.sweep()
            raise AssertionError(f"the {self.name} did not stop within {timeout} s:\n{self.tail()}") from None

    def send_signal(self, number: signal.Signals) -> None:
        self._running.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._running.sweep()

    def end(self) -> None:
        """However it is, nothing of it runs afterwards."""
        if self._child is not None:
            self._child.sweep()

    @property
    def pid(self) -> int:
        return self._running.pid

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._running.exit_status()

    def tail(self) -> str:
        return evidence.tail(self.log)

    def open_files(self) -> list[str]:
        """Targets of its file descriptors."""
        links = list(Path(f"/proc/{self.pid}/fd").iterdir())
        return [str(link.readlink()) for link in links if link.is_symlink()]

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"the {self.name} was not started")
        return self._child


class Stack:
    """A context manager; leaving it ends every process, whatever happened."""

    def __init__(
        self,
        directory: Path,
        *,
        trunk_port: int,
        trunk_host: str = HOST,
        overrides: Overrides | None = None,
        path: LossyPath | None = None,
    ) -> None:
        """`path`: between the engine and everything else; made by a thread that is among the phones."""
        self._redis = EmbeddedRedis(directory / "redis")
        self.redis_url = self._redis.url
        self.api_port = free_tcp()
        self.api_root = f"http://{HOST}:{self.api_port}"
        self.config = directory / "dialbridge.toml"
        write_settings(
            self.config,
            redis_url=self.redis_url,
            api_port=self.api_port,
            trunk_host=trunk_host,
            trunk_port=trunk_port,
            overrides=_beyond(path, overrides or {}),
        )
        self.settings: Settings = load_settings(self.config)
        engine = _module("engine")
        self.engine = self._process(directory, "engine", path.at_engine(engine) if path else engine)
        self.api = self._process(directory, "api", _module("api"))
        self.notifier = self._process(directory, "notifier", _module("api.notifier"))
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def start(self) -> None:
        self._exit.callback(self._redis.stop)
        self._redis.start()
        for process in self.processes:
            self._exit.callback(evidence.withdraw, str(process.log))
            evidence.offer(str(process.log), process.tail)
            self._exit.callback(process.end)
            process.start()
        self.wait_ready()

    @property
    def processes(self) -> tuple[Process, ...]:
        return (self.engine, self.api, self.notifier)

    def wait_ready(self, timeout: float = START_WITHIN) -> None:
        """Until /readyz says so; raises AssertionError with the log of a process that ended instead."""

        def is_ready() -> bool:
            for process in self.processes:
                status = process.exit_status()
                assert status is None, f"the {process.name}: {describe_exit(status)}\n{process.tail()}"
            try:
                return httpx2.get(f"{self.api_root}/readyz", timeout=2.0, trust_env=False).is_success
            except httpx2.TransportError:
                return False

        wait_until(is_ready, timeout, f"readiness of {self.api_root}")

    def client(self) -> CallsClient:
        """An authenticated client of the first enterprise; close it (`with`)."""
        return CallsClient(self.api_root, CLIENT_ID, CLIENT_SECRET).authenticate()

    def other_client(self) -> CallsClient:
        """One of the other enterprise."""
        return CallsClient(self.api_root, OTHER_CLIENT_ID, OTHER_CLIENT_SECRET).authenticate()

    def with_redis(self, work: Callable[[Redis, Keys], Awaitable[Result]]) -> Result:
        """Run something on this stack's Redis."""

        async def run() -> Result:
            async with connect(self.redis_url) as redis:
                return await work(redis, Keys(self.settings.redis.prefix))

        return asyncio.run(run())

    def call(self, call_id: str) -> Call:
        """The call's record; raises AssertionError if there is none."""
        record = self.with_redis(lambda redis, keys: self._calls(redis, keys).get(call_id))
        assert record is not None, f"no call {call_id}"
        return record

    def event_states(self, call_id: str) -> list[str]:
        """States in the call's event stream."""
        events = self.with_redis(lambda redis, keys: self._calls(redis, keys).events(call_id))
        return [event.state.value for event in events]

    def sip_messages(self, call_id: str) -> list[SipMessage]:
        """What the engine traced of the call."""
        retention = self.settings.call.retention
        return self.with_redis(lambda r, keys: SipTrace(r, keys, retention=retention).read(call_id))

    def engines(self) -> list[EngineStatus]:
        """Heartbeats of the engines that are alive."""
        lost_after = self.settings.engine.lost_after
        return self.with_redis(lambda r, keys: EngineRegistry(r, keys, lost_after=lost_after).statuses())

    def redis_keys(self) -> list[str]:
        """All keys of the product, sorted."""

        async def scan(redis: Redis, keys: Keys) -> list[str]:
            return sorted([key async for key in redis.scan_iter(match=f"{keys.root}*")])

        return self.with_redis(scan)

    def _calls(self, redis: Redis, keys: Keys) -> CallStore:
        return CallStore(
            redis,
            keys,
            retention=self.settings.call.retention,
            engine_lost_after=self.settings.engine.lost_after,
        )

    def _process(self, directory: Path, name: str, command: Sequence[str]) -> Process:
        return Process(name, command, config=self.config, log=directory / f"{name}.log")


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def _beyond(path: LossyPath | None, overrides: Overrides) -> Overrides:
    """The engine's address is the one that it has at its end of the path."""
    if path is None:
        return overrides
    return {**overrides, "sip": {"bind_address": ENGINE_HOST, **overrides.get("sip", {})}}
