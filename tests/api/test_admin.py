"""`/admin/v1`: enterprises, members and clients; what is changed there counts from the next call on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess

ENTERPRISES = "/admin/v1/enterprises"
ACME = f"{ENTERPRISES}/acme"
WEBHOOK_SECRET = "whsec_" + "b29v" * 8
CLIENTS: list[dict[str, Any]] = [
    {"id": "shop", "secret": SECRET, "enterprise": "acme"},
    {"id": "operator", "secret": SECRET, "admin": True},
    {"id": "newcomer", "secret": SECRET},
]


@dataclass
class Administered:
    http: httpx2.Client
    process: ApiProcess

    def bearer(self, client_id: str) -> dict[str, str]:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
        return {
            "Authorization": f"Bearer {self.http.post('/oauth2/token', data=form).json()['access_token']}"
        }

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx2.Response:
        headers = {**self.bearer("operator"), **kwargs.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **kwargs)

    def done(self, method: str, path: str, **kwargs: Any) -> Any:
        answer = self.ask(method, path, **kwargs)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def call(self, client_id: str = "shop", **changes: Any) -> httpx2.Response:
        body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}, **changes}
        return self.http.post(f"{BASE_PATH}/calls", json=body, headers=self.bearer(client_id))


@pytest.fixture
def config(redis_url: str, prefix: str, tmp_path: Path) -> Path:
    return write_config(tmp_path, redis_url, prefix, changes={"clients": CLIENTS})


@pytest.fixture
def admin(config: Path, engine: PlayedEngine) -> Iterator[Administered]:
    del engine  # takes the calls
    process = ApiProcess(config)
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        yield Administered(http, process)
    process.stop()


def assert_refused(answer: httpx2.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_the_settings_files_enterprises_are_there(admin: Administered) -> None:
    acme = admin.done("GET", ACME)
    assert acme.pop("policy")["deny"] == []
    assert acme == {
        "id": "acme",
        "version": 1,
        "state": "active",
        "name": "",
        "number": "+442079460000",
        "further_numbers": [],
        "callers": "anyone",
        "recording": "requested",
        "announcements": {"connect_recorded": True},
        "v1": {"recording": False},
    }
    page = admin.done("GET", ENTERPRISES, params={"limit": 1})
    assert [one["id"] for one in page["enterprises"]] == ["acme"]
    assert page["more"] is True
    page = admin.done("GET", ENTERPRISES, params={"limit": 1, "after": "acme"})
    assert ([one["id"] for one in page["enterprises"]], page["more"]) == (["globex"], False)


def test_only_the_scope_opens_it(admin: Administered) -> None:
    assert_refused(admin.http.get(ACME), 401, "UNAUTHENTICATED")
    assert_refused(admin.http.get(ACME, headers=admin.bearer("shop")), 403, "PERMISSION_DENIED")
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": SECRET}
    answer = admin.http.post("/oauth2/token", data={**form, "scope": "dialbridge:admin"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def test_an_enterprise_is_made_and_its_clients_calls_show_its_number(
    admin: Administered, engine: PlayedEngine
) -> None:
    assert_refused(admin.call("newcomer"), 403, "PERMISSION_DENIED")
    profile = {"number": "+442079460077", "callers": "anyone", "webhook_secrets": [WEBHOOK_SECRET]}
    made = admin.ask("PUT", f"{ENTERPRISES}/initech", json=profile)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert "webhook_secrets" not in made.json()
    assert admin.done("PUT", f"{ENTERPRISES}/initech/clients/newcomer") is None
    assert admin.done("GET", f"{ENTERPRISES}/initech/clients") == {"clients": ["newcomer"]}
    call_id = admin.call("newcomer").json()["callId"]
    assert engine.record(call_id).presented_number == "+442079460077"
    admin.done("DELETE", f"{ENTERPRISES}/initech/clients/newcomer")
    assert_refused(admin.call("newcomer"), 403, "PERMISSION_DENIED")
    assert_refused(admin.ask("DELETE", f"{ENTERPRISES}/initech/clients/newcomer"), 404, "NOT_FOUND")


def test_a_suspended_enterprise_places_no_call_but_ends_those_it_has(
    admin: Administered, engine: PlayedEngine
) -> None:
    del engine
    call_id = admin.call().json()["callId"]
    assert admin.done("PATCH", ACME, json={"state": "suspended"})["state"] == "suspended"
    assert_refused(admin.call(), 403, "PERMISSION_DENIED")
    url, shop = f"{BASE_PATH}/calls/{call_id}", admin.bearer("shop")
    assert admin.http.get(url, headers=shop).status_code == 200
    assert admin.http.delete(url, headers=shop).status_code == 204
    admin.done("PATCH", ACME, json={"state": "active"})
    assert admin.call().status_code == 201


def test_only_members_are_callers(admin: Administered) -> None:
    member, stranger = new_number(), new_number()
    admin.done("PATCH", ACME, json={"callers": "members"})
    admin.done("PUT", f"{ACME}/members/{member}", params={"name": "Ada"})
    assert admin.call(caller={"number": member}).status_code == 201
    assert_refused(admin.call(caller={"number": stranger}), 422, "CALLER_NOT_AVAILABLE")
    assert admin.done("GET", f"{ACME}/members") == {
        "members": [{"number": member, "name": "Ada"}],
        "more": False,
    }
    admin.done("DELETE", f"{ACME}/members/{member}")
    assert_refused(admin.call(caller={"number": member}), 422, "CALLER_NOT_AVAILABLE")
    assert_refused(admin.ask("DELETE", f"{ACME}/members/{member}"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("policy", "asked", "recorded"),
    [
        ("requested", True, True),
        ("requested", False, False),
        ("always", False, True),
        ("never", False, False),
    ],
)
def test_recording_policy(admin: Administered, policy: str, asked: bool, recorded: bool) -> None:
    admin.done("PATCH", ACME, json={"recording": policy})
    answer = admin.call(recordingEnabled=asked)
    assert answer.json()["recordingEnabled"] is recorded


def test_what_may_not_be_recorded_is_not_promised(admin: Administered) -> None:
    admin.done("PATCH", ACME, json={"recording": "never"})
    assert_refused(admin.call(recordingEnabled=True), 422, "RECORDING_NOT_SUPPORTED")


def test_members_are_imported_and_exported_as_csv(admin: Administered) -> None:
    table = '﻿number,name\r\n+447700900201,"Lovelace, Ada"\r\n+447700900202,\r\n'
    members = f"{ACME}/members"
    answer = admin.done("POST", members, content=table.encode(), headers={"Content-Type": "text/csv"})
    assert answer == {"added": 2, "known": 0}
    answer = admin.done("POST", members, json=["+447700900202", {"number": "+447700900203", "name": "=1+1"}])
    assert answer == {"added": 1, "known": 1}
    exported = admin.ask("GET", members, headers={"Accept": "text/csv"})
    assert exported.headers["content-type"].startswith("text/csv")
    assert exported.text == (
        'number,name\r\n+447700900201,"Lovelace, Ada"\r\n+447700900202,\r\n+447700900203,\'=1+1\r\n'
    )
    again = admin.done("POST", members, content=exported.content, headers={"Content-Type": "text/csv"})
    assert again == {"added": 0, "known": 3}
    assert admin.done("GET", members)["members"][2]["name"] == "=1+1"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (b"", "line 1: the header must be number,name or number."),
        (b"phone\n+447700900201\n", "line 1: the header must be number,name or number."),
        (b"number\n+447700900201\n07700900202\n", "number: String should match"),
        (b"number,name\n+447700900201\n", "line 2: 1 cells instead of 2."),
        (b"number\n+447700900201\n+447700900201\n", "line 3: the number comes twice."),
        (b'number\n"+447700900201\n', "line 2: unexpected end of data."),
        (b"number,name\n+447700900201,\xff\n", "The request body is not UTF-8."),
    ],
)
def test_of_a_table_with_a_fault_nothing_is_imported(
    admin: Administered, table: bytes, complaint: str
) -> None:
    answer = admin.ask("POST", f"{ACME}/members", content=table, headers={"Content-Type": "text/csv"})
    assert_refused(answer, 400, "INVALID_ARGUMENT")
    assert answer.json()["message"].startswith(complaint)
    assert admin.done("GET", f"{ACME}/members")["members"] == []


@pytest.mark.parametrize(
    ("profile", "complaint"),
    [
        ([], "request body: must be an object"),
        ({}, "number: Field required"),
        ({"number": "02079460000"}, "number: String should match"),
        ({"number": "+442079460000", "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"number": "+442079460000", "state": "asleep"}, "state: must be one of active, suspended"),
        ({"number": "+442079460000", "max_calls": -1}, "max_calls: Input should be greater"),
        ({"number": "+442079460000", "max_calls": "5"}, "max_calls: Input should be a valid integer"),
        (
            {"number": "+442079460000", "v1": {"recording": 1}},
            "v1.recording: Input should be a valid boolean",
        ),
        ({"number": "+442079460000", "retention_days": 10**9}, "retention_days: Input should be less"),
        ({"number": "+442079460000", "pool": {"slice": 10**20}}, "pool.slice: Input should be less"),
        ({"number": "+442079460000", "max_cps": 1e-300}, "max_cps: Input should be greater"),
        (
            {"number": "+442079460000", "further_numbers": ["+442079460000"]},
            "enterprise: Value error, number",
        ),
        ({"number": "+442079460000", "webhook_secrets": ["whsec_short"]}, "webhook_secrets.0: Value error"),
        ({"number": "+442079460000", "announcements": {"busy": "../x"}}, "announcements.busy: String should"),
    ],
)
def test_a_profile_that_cannot_be_used(admin: Administered, profile: Any, complaint: str) -> None:
    answer = admin.ask("PUT", f"{ENTERPRISES}/initech", json=profile)
    assert_refused(answer, 400, "INVALID_ARGUMENT")
    assert answer.json()["message"].startswith(complaint)
    assert_refused(admin.ask("GET", f"{ENTERPRISES}/initech"), 404, "NOT_FOUND")


JSON = {"Content-Type": "application/json"}


def test_an_infinite_number_is_none_of_json(admin: Administered) -> None:
    body = b'{"number": "+442079460000", "max_cps": 1e999}'
    answer = admin.ask("PUT", f"{ENTERPRISES}/initech", content=body, headers=JSON)
    assert_refused(answer, 400, "INVALID_ARGUMENT")
    assert answer.json()["message"] == "max_cps: Input should be a finite number."


def test_half_a_character_is_none(admin: Administered) -> None:
    name = b'"name": "\\ud800"'
    answer = admin.ask("PATCH", ACME, content=b"{%s}" % name, headers=JSON)
    assert_refused(answer, 400, "INVALID_ARGUMENT")
    body = b'[{"number": "+447700900201", %s}]' % name
    assert_refused(admin.ask("POST", f"{ACME}/members", content=body, headers=JSON), 400, "INVALID_ARGUMENT")
    assert admin.done("GET", f"{ACME}/members")["members"] == []


def test_a_set_may_name_a_value_twice(admin: Administered) -> None:
    changed = admin.done("PATCH", ACME, json={"policy": {"countries": ["GB", "GB"]}})
    assert changed["policy"]["countries"] == ["GB"]


def test_numbers_in_paths_that_are_none(admin: Administered) -> None:
    for number in ("07700900201", "+", "%00", "%2F", "+44 7700 900201", "٣٤٥٦٧٨"):
        for method in ("PUT", "DELETE"):
            answer = admin.ask(method, f"{ACME}/members/{number}")
            assert_refused(answer, 400, "INVALID_ARGUMENT")


def test_odd_clients_are_kept_as_they_are(admin: Administered) -> None:
    for client in ("%00", "é", "a%2Fb", "x" * 128):
        admin.done("PUT", f"{ACME}/clients/{client}")
        admin.done("DELETE", f"{ACME}/clients/{client}")
    assert_refused(admin.ask("PUT", f"{ACME}/clients/{'x' * 129}"), 400, "INVALID_ARGUMENT")


def test_ids_that_cannot_be_used(admin: Administered) -> None:
    for enterprise_id in ("-x", "a b", "x" * 64 + "y", "é"):
        answer = admin.ask("PUT", f"{ENTERPRISES}/{enterprise_id}", json={"number": "+442079460000"})
        assert_refused(answer, 400, "INVALID_ARGUMENT")


def test_a_patch_takes_keys_away_and_keeps_the_others(admin: Administered) -> None:
    admin.done("PATCH", ACME, json={"max_calls": 3, "announcements": {"busy": "busy", "lost": "lost"}})
    merge = {"Content-Type": "application/merge-patch+json"}
    changed = admin.done(
        "PATCH", ACME, content=json.dumps({"max_calls": None, "announcements": {"busy": None}}), headers=merge
    )
    assert "max_calls" not in changed
    assert changed["announcements"] == {"connect_recorded": True, "lost": "lost"}
    assert changed["version"] == 3
    assert_refused(
        admin.ask("PATCH", ACME, content="{}", headers={"Content-Type": "text/plain"}),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    )


def test_what_is_read_can_be_written_back(admin: Administered) -> None:
    read = admin.done("GET", ACME)
    assert admin.done("PUT", ACME, json=read) == read, "nothing has changed, so it is the same version"


def test_nobody_overwrites_what_he_has_not_seen(admin: Administered) -> None:
    admin.done("PATCH", ACME, json={"max_calls": 1}, headers={"If-Match": '"1"'})
    for tag in ('"1"', '"0"', "nonsense"):
        answer = admin.ask("PATCH", ACME, json={"max_calls": 2}, headers={"If-Match": tag})
        assert_refused(answer, 412, "FAILED_PRECONDITION")
    admin.done("PATCH", ACME, json={"max_calls": 2}, headers={"If-Match": '"2"'})
    assert admin.done("GET", ACME)["max_calls"] == 2


def test_clients_of_the_settings_file_stay_as_it_says(admin: Administered) -> None:
    assert admin.done("GET", f"{ACME}/clients") == {"clients": ["shop"]}
    answer = admin.ask("PUT", f"{ENTERPRISES}/globex/clients/shop")
    assert_refused(answer, 400, "INVALID_ARGUMENT")
    assert_refused(admin.ask("DELETE", f"{ACME}/clients/shop"), 400, "INVALID_ARGUMENT")


def test_a_changed_settings_file_replaces_the_profile_but_neither_state_nor_members(
    admin: Administered, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    admin.done("PATCH", ACME, json={"max_calls": 7, "state": "suspended"})
    admin.done("PUT", f"{ACME}/members/+447700900301")
    enterprise = {"id": "acme", "number": "+442079460088", "members": ["+447700900302"]}
    for version in (3, 3):  # the second time the file says nothing new
        config = write_config(
            tmp_path, redis_url, prefix, changes={"clients": CLIENTS, "enterprises": [enterprise]}
        )
        process = ApiProcess(config)
        process.start()
        with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
            second = Administered(http, process)
            found = second.done("GET", ACME)
            assert (found["number"], found["state"], found["version"]) == (
                "+442079460088",
                "suspended",
                version,
            )
            assert "max_calls" not in found
            members = second.done("GET", f"{ACME}/members")["members"]
            assert [one["number"] for one in members] == ["+447700900301", "+447700900302"]
        process.stop()
