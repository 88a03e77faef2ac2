"""Starting, ending, health, metrics, and what happens without Redis or without engines."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest

from state.embedded import EmbeddedRedis
from state.engines import EngineStatus
from tests.api.camara_schemas import validate_error
from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH, Platform
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess, ProductProcess
from tests.api.sink_server import SinkServer
from tests.support.waiting import wait_until


def bearer(root: str) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": SECRET}
    token = httpx2.post(f"{root}/oauth2/token", data=form, trust_env=False).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def post(root: str) -> httpx2.Response:
    body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
    return httpx2.post(
        f"{root}{BASE_PATH}/calls", json=body, headers=bearer(root), trust_env=False, timeout=20
    )


def test_alive_and_ready(platform: Platform) -> None:
    assert platform.http.get("/healthz").json() == {"status": "ok"}
    ready = platform.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "redis": "ok", "engine": "ok"})


def test_metrics_count_calls_and_refusals(platform: Platform) -> None:
    def value(metric: str) -> float:
        text = platform.http.get("/metrics").text
        found = re.search(rf"^{re.escape(metric)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    created, refused = (
        "dialbridge_calls_created_total",
        'dialbridge_calls_refused_total{code="INVALID_ARGUMENT"}',
    )
    before = value(created), value(refused)
    assert platform.post().status_code == 201
    assert platform.post(extra=1).status_code == 400
    assert (value(created), value(refused)) == (before[0] + 1, before[1] + 1)
    assert 'dialbridge_deliveries_total{outcome="delivered"}' in platform.http.get("/metrics").text


def test_without_an_engine_there_is_no_call(redis_url: str, prefix: str, tmp_path: Path) -> None:
    api = ApiProcess(write_config(tmp_path, redis_url, prefix))
    api.start()
    answer = post(api.root)
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    validate_error(503, answer.json())
    ready = httpx2.get(f"{api.root}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["engine"]) == (503, "none is up")

    full = PlayedEngine(redis_url, prefix, capacity=1)
    full.start()
    assert post(api.root).status_code == 201
    assert post(api.root).status_code == 503
    full.die()
    full.run(full.registry.heartbeat(occupied(full)))
    ready = httpx2.get(f"{api.root}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["engine"]) == (503, "none has room")
    full.stop()
    assert api.terminate() == 0, api.log()


def occupied(engine: PlayedEngine) -> EngineStatus:
    status = engine.run(engine.registry.statuses())[0]
    return EngineStatus(**{**{name: getattr(status, name) for name in status.__slots__}, "calls": 1})


def test_a_redis_that_is_away_is_503_and_is_found_again(prefix: str, tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path / "redis")
    redis.start()
    config = write_config(tmp_path, redis.url, prefix)
    api, notifier, sink = ApiProcess(config), NotifierProcess(config), SinkServer()
    for part in (api, notifier, sink):
        part.start()
    engine = PlayedEngine(redis.url, prefix)
    engine.start()
    headers = bearer(api.root)
    call = engine.create(sink=f"{sink.root}/sink")
    path = f"{api.root}{BASE_PATH}/calls/{call.id}"
    sink.wait_for("/sink", 1)
    engine.die()

    redis.stop()
    for answer in (
        post(api.root),
        httpx2.get(path, headers=headers, trust_env=False, timeout=20),
        httpx2.delete(path, headers=headers, trust_env=False, timeout=20),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
        validate_error(503, answer.json())
    assert httpx2.get(f"{api.root}/healthz", trust_env=False).status_code == 200
    assert httpx2.get(f"{api.root}/metrics", trust_env=False).status_code == 200
    ready = httpx2.get(f"{api.root}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["redis"]) == (503, "unreachable")
    wait_until(lambda: "redis_unreachable" in notifier.log())

    again = EmbeddedRedis(tmp_path / "redis")
    again.start()
    returned = PlayedEngine(again.url, prefix)
    returned.start()
    wait_until(lambda: httpx2.get(path, headers=headers, trust_env=False, timeout=20).status_code == 200)
    returned.end(call.id)
    assert [one.state for one in sink.wait_for("/sink", 2)] == ["initiating", "disconnected"]
    assert notifier.log().count("redis_unreachable") == 1
    for process in (notifier, api):
        assert process.terminate() == 0
    for played in (returned, engine):
        played.stop()
    sink.stop()
    again.stop()


def test_a_killed_api_loses_no_call(
    redis_url: str, prefix: str, tmp_path: Path, engine: PlayedEngine, sink: SinkServer
) -> None:
    config = write_config(tmp_path, redis_url, prefix)
    api, notifier = ApiProcess(config), NotifierProcess(config)
    for process in (api, notifier):
        process.start()
    headers = bearer(api.root)
    body = {
        "caller": {"number": new_number()},
        "callee": {"number": new_number()},
        "sink": f"{sink.root}/sink",
    }
    created = httpx2.post(f"{api.root}{BASE_PATH}/calls", json=body, headers=headers, trust_env=False).json()
    api.kill()
    engine.connect(created["callId"])
    api.start()
    read = httpx2.get(f"{api.root}{BASE_PATH}/calls/{created['callId']}", headers=headers, trust_env=False)
    assert read.json() == {**created, "status": "connected"}
    assert [one.state for one in sink.wait_for("/sink", 4)][-1] == "connected"
    for process in (api, notifier):
        assert process.terminate() == 0


@pytest.mark.parametrize("module", ["api", "api.notifier"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"redis": {"url": None}}, "redis.url is not set"),
        ({"unknown": {"key": 1}}, "unknown: Extra inputs are not permitted"),
    ],
)
def test_settings_that_cannot_be_used_end_the_start(
    tmp_path: Path, module: str, changes: dict[str, dict[str, object]], sentence: str
) -> None:
    config = write_config(tmp_path, "redis://127.0.0.1:1", "unused", changes=changes)
    config.write_text(config.read_text().replace('"url" = null, ', ""))
    process = ProductProcess(module, config)
    process.start()
    assert process.wait() == 2
    assert sentence in process.log()
    assert "Traceback" not in process.log()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"auth": {"embedded_issuer": False}}, "auth.issuer is not set"),
        ({"auth": {"signing_key": "/proc/nowhere/key.json"}}, "cannot be kept there"),
        ({"api": {"host": "192.0.2.1"}}, "cannot listen there"),
        ({"clients": [{"id": "c", "enterprise": "acme", "jwks": {"no": 1}}]}, "not a JSON Web Key Set"),
    ],
)
def test_an_api_that_could_not_serve_does_not_start(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    process = ProductProcess("api", write_config(tmp_path, "redis://127.0.0.1:1", "unused", changes=changes))
    process.start()
    assert process.wait() == 2
    assert sentence in process.log()
    assert "Traceback" not in process.log()
