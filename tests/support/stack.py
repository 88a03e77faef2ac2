"""The whole product for a test: every process real, on folders and ports of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx2
from redis.asyncio import Redis

from dialbridge.ports import free_tcp, rtp_range
from state.call import Call, CallEvent
from state.calls import CallStore
from state.connection import connect
from state.embedded import EmbeddedRedis
from state.engines import EngineRegistry, EngineStatus
from state.keys import Keys
from tests.api.configuration import SECRET, write_config
from tests.api.processes import ApiProcess, NotifierProcess, ProductProcess
from tests.support.waiting import wait_until

T = TypeVar("T")

BASE_PATH = "/click-to-dial/v0.2"
ENTERPRISE_NUMBER = "+442079460000"


@dataclass(frozen=True, slots=True)
class Stores:
    """What the product keeps in Redis, through the product's own eyes."""

    redis: Redis
    keys: Keys
    calls: CallStore
    engines: EngineRegistry


class Stack:
    """A context manager: on leaving, nothing it started runs any more."""

    def __init__(self, folder: Path, *, trunk_port: int, changes: Mapping[str, Any] | None = None) -> None:
        """`trunk_port`: of the phones on 127.0.0.1; `changes`: settings sections to change."""
        self.folder = folder
        self.recordings = folder / "recordings"
        self._server = EmbeddedRedis(folder / "redis")
        low, high = rtp_range()
        api_port = free_tcp()
        sections: dict[str, Any] = {
            "api": {"port": api_port, "public_url": f"http://127.0.0.1:{api_port}"},
            "trunk": {"port": trunk_port, "codecs": ["PCMU"]},
            "sip": {"port": 0, "rtp_port_min": low, "rtp_port_max": high},
            "engine": {"heartbeat_interval": 0.2, "lost_after": 2.0, "shutdown_grace": 1.0},
            "clients": [
                {"id": "shop", "secret": SECRET, "enterprise": "acme"},
                {"id": "rival", "secret": SECRET, "enterprise": "globex"},
            ],
        }
        for name, section in (changes or {}).items():
            sections[name] = {**sections.get(name, {}), **section}
        self._config = write_config(folder, self._server.url, "stack", changes=sections)
        self.engine = ProductProcess("engine", self._config)
        self.api = ApiProcess(self._config)
        self.notifier = NotifierProcess(self._config)
        self._http = httpx2.Client(
            base_url=f"http://127.0.0.1:{api_port}",
            trust_env=False,
            timeout=20,
            limits=httpx2.Limits(max_connections=100),
        )
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> Stack:
        with contextlib.ExitStack() as started:
            started.callback(self._http.close)
            self._server.start()
            started.callback(self._server.stop)
            for process in (self.engine, self.api, self.notifier):
                process.start()
                started.callback(process.stop)
            self.wait_ready()
            self._started = started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()
        if error is not None:
            error.add_note(self.logs())

    def wait_ready(self) -> None:
        wait_until(lambda: self._http.get("/readyz").status_code == 200, 20, "an engine that is up")

    def logs(self) -> str:
        """The ends of the processes' logs, for a failure's message."""
        tails = []
        for path in sorted(self.folder.glob("*.err")):
            tails.append(f"--- {path.name}\n" + "\n".join(path.read_text().splitlines()[-40:]))
        return "\n".join(tails)

    # --- REST ---------------------------------------------------------------------------------------------

    def bearer(self, client_id: str = "shop") -> dict[str, str]:
        if client_id not in self._tokens:
            form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
            response = self._http.post("/oauth2/token", data=form)
            assert response.status_code == 200, response.text
            self._tokens[client_id] = response.json()["access_token"]
        return {"Authorization": f"Bearer {self._tokens[client_id]}"}

    def post(self, caller: str, callee: str, **fields: Any) -> httpx2.Response:
        body = {"caller": {"number": caller}, "callee": {"number": callee}, **fields}
        return self._http.post(f"{BASE_PATH}/calls", json=body, headers=self.bearer())

    def create(self, caller: str, callee: str, **fields: Any) -> str:
        """The callId of a new call."""
        response = self.post(caller, callee, **fields)
        assert response.status_code == 201, response.text
        return str(response.json()["callId"])

    def get(self, call_id: str) -> dict[str, Any]:
        response = self._http.get(f"{BASE_PATH}/calls/{call_id}", headers=self.bearer())
        assert response.status_code == 200, response.text
        resource: dict[str, Any] = response.json()
        return resource

    def status(self, call_id: str) -> str:
        return str(self.get(call_id)["status"])

    def delete(self, call_id: str) -> int:
        """The status code."""
        return self._http.delete(f"{BASE_PATH}/calls/{call_id}", headers=self.bearer()).status_code

    def recording(self, call_id: str) -> httpx2.Response:
        return self._http.get(f"{BASE_PATH}/calls/{call_id}/recording", headers=self.bearer())

    def wav(self, call_id: str) -> bytes:
        response = self.recording(call_id)
        assert response.status_code == 200, response.text
        return base64.b64decode(response.json()["content"])

    def wait_status(self, call_id: str, *wanted: str, timeout: float = 15.0) -> str:
        """Until GET says one of `wanted`."""
        wait_until(lambda: self.status(call_id) in wanted, timeout, f"{wanted}")
        return self.status(call_id)

    def wait_ended(self, call_id: str, timeout: float = 15.0) -> Call:
        """The record of a call once it has ended."""
        self.wait_status(call_id, "disconnected", "failed", timeout=timeout)
        return self.record(call_id)

    # --- Redis --------------------------------------------------------------------------------------------

    def ask(self, question: Callable[[Stores], Coroutine[Any, Any, T]]) -> T:
        """Ask Redis something, through the product's own stores."""

        async def answer() -> T:
            keys = Keys("stack")
            async with connect(self._server.url) as redis:
                calls = CallStore(redis, keys, retention=3600, engine_lost_after=2.0)
                return await question(Stores(redis, keys, calls, EngineRegistry(redis, keys, lost_after=2.0)))

        return asyncio.run(answer())

    def record(self, call_id: str) -> Call:
        call = self.ask(lambda stores: stores.calls.get(call_id))
        assert call is not None
        return call

    def events(self, call_id: str) -> list[CallEvent]:
        return self.ask(lambda stores: stores.calls.events(call_id))

    def engine_status(self) -> EngineStatus:
        (status,) = self.ask(lambda stores: stores.engines.statuses())
        return status

    def engine_sip_port(self) -> int:
        return int(self.engine_status().sip_address.rsplit(":", 1)[1])

    def wait_idle(self, timeout: float = 15.0) -> EngineStatus:
        """Until the engine holds no call, leg, recorder, timer, or bridge port but the bridge's own."""

        def idle() -> bool:
            now = self.engine_status()
            return (now.calls, now.legs, now.bridge_ports, now.recorders, now.timers) == (0, 0, 1, 0, 0)

        wait_until(idle, timeout, "an idle engine")
        return self.engine_status()

    def keys(self) -> set[str]:
        """The names of all keys, without the prefix."""

        async def names(stores: Stores) -> set[str]:
            found: list[str] = await stores.redis.keys(f"{stores.keys.root}*")
            return {name.removeprefix(stores.keys.root) for name in found}

        return self.ask(names)
