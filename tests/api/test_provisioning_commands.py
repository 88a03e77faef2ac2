"""`dialbridge enterprise`, `member` and `client`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.configuration import write_config

SECRET = "whsec_" + "b29v" * 8


class Commands:
    def __init__(self, config: Path) -> None:
        self.config = config

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dialbridge", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def done(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.startswith("dialbridge: ")
        return done.stderr.removeprefix("dialbridge: ").rstrip()


@pytest.fixture
def commands(redis_url: str, prefix: str, tmp_path: Path) -> Commands:
    return Commands(write_config(tmp_path, redis_url, prefix))


def test_an_enterprise_from_nothing_to_suspended(commands: Commands) -> None:
    commands.done(
        "enterprise",
        "set",
        "initech",
        "number=+442079460077",
        "max_calls=5",
        "announcements.busy=busy",
        "further_numbers=+442079460078 +442079460079",
        f"webhook_secrets={SECRET}",
    )
    commands.done("enterprise", "set", "initech", "max_calls=", "name=Initech Ltd")
    commands.done("enterprise", "suspend", "initech")
    shown = json.loads(commands.done("enterprise", "show", "initech"))
    assert shown.pop("policy")["deny"] == []
    assert shown == {
        "id": "initech",
        "state": "suspended",
        "name": "Initech Ltd",
        "number": "+442079460077",
        "further_numbers": ["+442079460078", "+442079460079"],
        "callers": "members",
        "recording": "requested",
        "announcements": {"connect_recorded": True, "busy": "busy"},
        "v1": {"recording": False},
    }
    commands.done("enterprise", "resume", "initech")
    listed = [json.loads(line) for line in commands.done("enterprise", "list").splitlines()]
    assert [(one["id"], one["state"]) for one in listed] == [
        ("acme", "active"),
        ("globex", "active"),
        ("initech", "active"),
    ]


def test_each_step_is_audited_without_secrets_and_numbers(commands: Commands) -> None:
    commands.done("enterprise", "set", "acme", "max_calls=5", f"webhook_secrets={SECRET}")
    commands.done("member", "add", "acme", "+447700900201", "+447700900202")
    commands.done("member", "remove", "acme", "+447700900201")
    commands.done("client", "add", "acme", "crm")
    assert commands.done("client", "list", "acme").split() == ["crm", "shop"]
    commands.done("client", "remove", "acme", "crm")
    text = commands.done("audit", "export", "--from", "2020-01-01", "--to", "2100-01-01")
    entries = [json.loads(line) for line in text.splitlines()]
    assert [(entry["action"], entry.get("detail")) for entry in entries] == [
        ("enterprise.changed", "max_calls, webhook_secrets"),
        ("members.added", "2 numbers"),
        ("member.removed", None),
        ("client.assigned", "crm"),
        ("client.removed", "crm"),
    ]
    assert {entry["actor"].partition(":")[0] for entry in entries} == {"command"}
    assert "whsec" not in text
    assert "4477" not in text


def test_enterprises_travel_as_csv(commands: Commands, tmp_path: Path) -> None:
    commands.done("enterprise", "set", "acme", f"webhook_secrets={SECRET}", "announcements.lost=lost")
    table = commands.done("enterprise", "export")
    assert SECRET not in table
    commands.done(
        "enterprise",
        "set",
        "globex",
        "policy.deny=+4490 +4470",
        "policy.classes=[]",
        'policy.enterprise_rates=[{"calls": 5, "seconds": 60}]',
    )
    assert table.splitlines()[0].startswith("id,state,name,number,")
    file = tmp_path / "enterprises.csv"
    file.write_text(
        "id,number,announcements.busy,announcements.lost\nacme,+442079460099,busy,\nhooli,+442079460098,,\n"
    )
    assert commands.run("enterprise", "import", str(file)).stderr == "2 enterprises\n"
    acme, hooli = (json.loads(commands.done("enterprise", "show", one)) for one in ("acme", "hooli"))
    assert acme["announcements"] == {"connect_recorded": True, "busy": "busy"}
    assert (acme["number"], acme["callers"], hooli["callers"]) == ("+442079460099", "anyone", "members")
    file.write_text(commands.done("enterprise", "export"))
    before = commands.done("enterprise", "list")
    commands.done("enterprise", "import", str(file))
    assert commands.done("enterprise", "list") == before, "what was exported changes nothing"


def test_keys_of_sections_come_and_go(commands: Commands) -> None:
    def shown() -> dict[str, Any]:
        content: dict[str, Any] = json.loads(commands.done("enterprise", "show", "acme"))
        return content

    commands.done(
        "enterprise",
        "set",
        "acme",
        "pool.minimum=30",
        "pool.increment=6",
        "pool.monthly_minutes=100",
        "pool.carry_over=true",
        "v1.app_server=https://app.example/x",
        "v1.recording=true",
        "policy.deny=+4490 +4470",
        "policy.repeat_after=5",
    )
    given = shown()
    pool = {"minimum": 30, "increment": 6, "slice": 300, "carry_over": True}
    assert given["pool"] == {**pool, "monthly_minutes": 100}
    assert given["v1"] == {"app_server": "https://app.example/x", "recording": True}
    assert (given["policy"]["deny"], given["policy"]["repeat_after"]) == (["+4470", "+4490"], 5)
    commands.done(
        "enterprise",
        "set",
        "acme",
        "pool.monthly_minutes=",
        "v1.app_server=",
        "policy.deny=",
        "policy.classes=",
    )
    left = shown()
    assert (left["pool"], left["v1"], left["policy"]["deny"]) == (pool, {"recording": True}, [])
    commands.done("enterprise", "set", "acme", "pool=", "v1=", "policy=")
    gone = shown()
    assert "pool" not in gone
    assert (gone["v1"], gone["policy"]["repeat_after"]) == ({"recording": False}, 0)
    commands.done("enterprise", "set", "acme", "pool.monthly_minutes=")
    assert shown() == gone, "what is taken from no pool makes none"


@pytest.mark.parametrize(
    "assignments", [("pool=", "pool.minimum=30"), ("pool.minimum=30", "pool="), ("name=x", "name.y=z")]
)
def test_a_section_and_a_key_in_it_at_once_mean_nothing(
    commands: Commands, assignments: tuple[str, str]
) -> None:
    done = commands.run("enterprise", "set", "acme", *assignments)
    assert done.returncode == 2
    assert "named, too" in done.stderr


def test_a_table_with_pools_gives_none_to_an_enterprise_without(commands: Commands, tmp_path: Path) -> None:
    commands.done(
        "enterprise",
        "set",
        "acme",
        "pool.minimum=30",
        "pool.increment=60",
        "v1.app_server=https://app.example/x",
        "policy.deny=+4490 +4470",
    )
    file = tmp_path / "enterprises.csv"
    file.write_text(commands.done("enterprise", "export"))
    before = commands.done("enterprise", "list")
    commands.done("enterprise", "import", str(file))
    assert commands.done("enterprise", "list") == before
    commands.done("enterprise", "set", "acme", "pool=", "v1=", "policy=")
    commands.done("enterprise", "set", "globex", "pool.minimum=20")
    commands.done("enterprise", "import", str(file))
    assert commands.done("enterprise", "list") == before


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("number\n+442079460099\n", "line 1: there is no column id"),
        ("id,number\nacme\n", "line 2: not as many cells as columns"),
        ("id,number\nacme,+442079460099\nacme,+442079460099\n", "line 3: 'acme' comes twice"),
        ("id,number\nacme,+442079460099\nhooli,0207\n", "number: String should match"),
        ("id,number,pool.minimum\nacme,+442079460099,-1\n", "pool.minimum: Input should be greater than 0"),
        ("id,number,policy.denied\nacme,+442079460099,+44\n", "policy.denied: Extra inputs"),
        ("id,number,pool,pool.minimum\nacme,+442079460099,,30\n", "line 2: pool.minimum: pool as a whole"),
        (
            "id,number,home_country\nacme,+442079460099,UK\n",
            "home_country: Value error, must be the ISO 3166-1",
        ),
    ],
)
def test_of_a_table_with_a_fault_nothing_is_imported(
    commands: Commands, tmp_path: Path, table: str, complaint: str
) -> None:
    file = tmp_path / "enterprises.csv"
    file.write_text(table)
    assert complaint in commands.refused("enterprise", "import", str(file))
    assert json.loads(commands.done("enterprise", "show", "acme"))["number"] == "+442079460000"


def test_members_travel_as_csv(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "members.csv"
    file.write_text("number,name\n+447700900202,Grace\n+447700900201,\n")
    assert commands.run("member", "import", "acme", str(file)).stderr == "2 members more, 0 known already\n"
    table = commands.done("member", "export", "acme")
    assert table.splitlines() == ["number,name", "+447700900201,", "+447700900202,Grace"]
    assert commands.done("member", "list", "acme") == table


def test_what_cannot_be_is_said(commands: Commands) -> None:
    assert commands.refused("enterprise", "show", "nobody") == "there is no enterprise 'nobody'"
    assert commands.refused("member", "add", "nobody", "+447700900201") == "there is no enterprise 'nobody'"
    assert commands.refused("member", "add", "acme", "07700900201").startswith("number: String should match")
    assert "1 of the numbers are no members" in commands.refused("member", "remove", "acme", "+447700900201")
    assert "settings file" in commands.refused("client", "remove", "acme", "shop")
    assert commands.run("enterprise", "set", "acme", "number").returncode == 2
