"""One Redis and one api for the session; notifiers and further apis per test, each on a prefix of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from joserfc.jwk import ECKey

from state.embedded import EmbeddedRedis
from tests.api.configuration import SECRET, write_config
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess
from tests.api.sink_server import SinkServer
from tests.api.v1_platform import V1Platform, write_v1_config

BASE_PATH = "/click-to-dial/v0.2"


@dataclass
class Platform:
    """A running api, the engine behind it, and what is needed to talk to both."""

    process: ApiProcess
    http: httpx2.Client
    engine: PlayedEngine
    folder: Path
    config: Path
    redis_url: str
    client_key: ECKey
    """Of the client `robot`, which authenticates by private_key_jwt."""

    @property
    def signing_key(self) -> ECKey:
        return ECKey.import_key(json.loads((self.folder / "issuer-key.json").read_text()))

    def token(self, client_id: str = "shop", scope: str | None = None) -> str:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
        if scope is not None:
            form["scope"] = scope
        response = self.http.post("/oauth2/token", data=form)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def bearer(self, client_id: str = "shop", scope: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(client_id, scope)}"}

    def post(self, **changes: Any) -> httpx2.Response:
        """POST /calls between two fresh numbers."""
        body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}, **changes}
        return self.http.post(f"{BASE_PATH}/calls", json=body, headers=self.bearer())

    def created(self, **changes: Any) -> str:
        response = self.post(**changes)
        assert response.status_code == 201, response.text
        return str(response.json()["callId"])

    def get(self, call_id: str, client_id: str = "shop") -> httpx2.Response:
        return self.http.get(f"{BASE_PATH}/calls/{call_id}", headers=self.bearer(client_id))

    def delete(self, call_id: str, client_id: str = "shop") -> httpx2.Response:
        return self.http.delete(f"{BASE_PATH}/calls/{call_id}", headers=self.bearer(client_id))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def prefix() -> str:
    return f"t{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def platform(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    client_key = ECKey.generate_key("P-256", auto_kid=True)
    clients = [
        {"id": "shop", "secret": SECRET, "enterprise": "acme"},
        {"id": "rival", "secret": SECRET, "enterprise": "globex"},
        {"id": "robot", "jwks": {"keys": [client_key.as_dict(private=False)]}, "enterprise": "acme"},
    ]
    config = write_config(folder, redis_url, "platform", changes={"clients": clients})
    engine = PlayedEngine(redis_url, "platform")
    engine.start()
    process = ApiProcess(config)
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        yield Platform(process, http, engine, folder, config, redis_url, client_key)
    process.stop()
    engine.stop()


@pytest.fixture
def engine(redis_url: str, prefix: str) -> Iterator[PlayedEngine]:
    """An engine on this test's own prefix."""
    played = PlayedEngine(redis_url, prefix)
    played.start()
    yield played
    played.stop()


@pytest.fixture
def notifier(redis_url: str, prefix: str, tmp_path: Path) -> Iterator[NotifierProcess]:
    """Not started yet; on this test's own prefix."""
    process = NotifierProcess(write_config(tmp_path, redis_url, prefix))
    yield process
    process.stop()


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    server = SinkServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def v1(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[V1Platform]:
    """With enterprises for the older generation, and an engine."""
    folder, prefix = tmp_path_factory.mktemp("v1"), "v1platform"
    engine = PlayedEngine(redis_url, prefix)
    engine.start()
    process = ApiProcess(write_v1_config(folder, redis_url, prefix))
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        yield V1Platform(process, http, engine, folder, redis_url, prefix)
    process.stop()
    engine.stop()
