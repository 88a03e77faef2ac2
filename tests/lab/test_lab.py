"""`dialbridge lab`: what it writes, what it refuses, and that labs side by side do not meet."""

from __future__ import annotations

import json
import socket
import tomllib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis import Redis

from config import EnterprisePolicy, PolicySettings
from config.private_file import write_private
from dialbridge.lab_settings import BLACKLISTED, LabSettings
from dialbridge.ports import HOST
from policy.rules import NumberRules, Party
from tests.api.sink_server import SinkServer
from tests.lab.labs import Labs
from tests.support.calls_client import CallsClient


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[Labs]:
    made = Labs(tmp_path)
    yield made
    made.end()


def test_describes_itself_while_it_runs(labs: Labs) -> None:
    lab = labs.start()
    description = lab.wait_ready()
    assert S_IMODE(lab.description.stat().st_mode) == 0o600
    assert description["api_root"] == f"http://127.0.0.1:{lab.port}"
    assert description["token_url"] == f"http://127.0.0.1:{lab.port}/oauth2/token"
    assert description["enterprise_number"].startswith("+44163296")
    assert len(description["client_secret"]) >= 32
    assert description["client_secret"] != description["other_client_secret"]
    with Redis.from_url(description["redis_url"]) as redis:
        assert redis.ping()
    settings = tomllib.loads(Path(description["config"]).read_text())
    assert settings["api"]["port"] == lab.port

    printed = lab.log.read_text()
    for name in ("api_root", "client_id", "client_secret"):
        assert description[name] in printed

    assert lab.stop() == 0
    assert not lab.description.exists()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{description['api_root']}/healthz", trust_env=False)


def test_two_labs_side_by_side(labs: Labs) -> None:
    lab, other = labs.start(), labs.start()
    with lab.client() as client, other.client() as other_client:
        call_id = client.dial("+447700900001", "+447700900002")
        client.wait_state(call_id, "connected")
        assert other_client.get(call_id).status_code == 404
        assert other.stop() == 0
        assert client.state(call_id) == "connected"
        assert client.delete(call_id).status_code == 204
    assert lab.stop() == 0


def test_its_two_clients_do_not_see_each_others_calls(labs: Labs) -> None:
    lab = labs.start()
    description = lab.wait_ready()
    other = CallsClient(
        description["api_root"], description["other_client_id"], description["other_client_secret"]
    )
    with lab.client() as client, other.authenticate() as stranger:
        call_id = client.dial("+447700900011", "+447700900001")
        assert stranger.get(call_id).status_code == 404
        assert client.create(BLACKLISTED, "+447700900001").status_code == 422


def test_a_live_call_ends_with_the_lab(labs: Labs) -> None:
    lab = labs.start()
    with lab.client() as client:
        call_id = client.dial("+447700900001", "+447700900002", recording=True)
        client.wait_state(call_id, "connected")
    assert lab.stop() == 0
    assert list((lab.var / "recordings").rglob("*.wav"))


@pytest.fixture
def application() -> Iterator[SinkServer]:
    server = SinkServer()
    server.bodies.default_factory = lambda: deque([b'{"code": "0000000", "description": "Success"}'])
    server.start()
    yield server
    server.stop()


def test_calls_of_the_older_generation(labs: Labs, application: SinkServer) -> None:
    lab = labs.start(environment={"DIALBRIDGE_LAB_APP_SERVER": application.root})
    description = lab.wait_ready()
    with httpx2.Client(
        base_url=f"http://{HOST}:{lab.port}/clicktodial/v1",
        auth=(description["client_id"], description["client_secret"]),
        trust_env=False,
        timeout=15,
    ) as http:
        numbers = {"caller": "07700900002", "callee": "447700900001"}
        begun = http.post("/clicktodialbegin", json={"sponsor": "441632960000", **numbers}).json()
        call_id = begun["result"]["callidentifier"]
        path = f"/clicktodial/v1/clicktodialstatusnotify/{call_id}"
        application.wait_for(path, 3)
        assert http.post(f"/clicktodialrelease/{call_id}", json={"operation": "EndCall"}).status_code == 200
        last = application.wait_for(path, 4)[-1].event
        assert (last["status"], last["recordingResult"]) == ("Disconnected", "Success")
        recording = http.post(f"/recordingdownload/{call_id}", json={"recordingId": last["recordingId"]})
        assert recording.json()["filedata"].startswith("UklGR"), "RIFF"
    assert lab.stop() == 0


def test_an_application_that_is_no_url(labs: Labs) -> None:
    lab = labs.start(environment={"DIALBRIDGE_LAB_APP_SERVER": "127.0.0.1:8000"})
    assert lab.process.wait(20) == 1
    assert "v1.app_server" in lab.log.read_text()


def test_a_port_that_is_taken(labs: Labs) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        lab = labs.start(port=port)
        assert lab.process.wait(20) == 1
    said = lab.log.read_text().strip()
    assert said.splitlines()[-1] == (
        f"dialbridge: port {port} is taken: stop the program that uses it, or choose another with --port"
    )
    assert not lab.description.exists()


def test_a_folder_that_is_taken(labs: Labs) -> None:
    lab = labs.start()
    description = lab.wait_ready()
    second = labs.start(var=lab.var)
    assert second.process.wait(20) == 1
    assert "another lab runs in" in second.log.read_text()
    assert json.loads(lab.description.read_text()) == description
    assert lab.stop() == 0


def test_settings_hold_any_path(tmp_path: Path) -> None:
    odd = tmp_path / 'a "quoted" \\ für'
    settings = LabSettings.fresh(var=odd, api_port=1, redis_url="redis://x", trunk_port=2)
    assert tomllib.loads(settings.toml())["recording"]["root"] == str(odd / "recordings")


@given(number=st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True))
@example("+449012345678")
@example("+881612345678")
@example("+44999")
@example("+999123456")
def test_every_number_may_be_called_but_the_blacklisted_one(number: str) -> None:
    lab = LabSettings.fresh(var=Path("var"), api_port=1, redis_url="redis://x", trunk_port=2)
    policy = PolicySettings.model_validate(tomllib.loads(lab.toml())["policy"])
    refusal = NumberRules(policy, EnterprisePolicy()).check(number, Party.CALLEE)
    assert (refusal is not None) is (number == BLACKLISTED)


def test_a_private_file_replaces_its_predecessor_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lab.json"
    write_private(path, "long first content")
    write_private(path, "second")
    assert path.read_text() == "second"
    assert S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["lab.json"]
