"""Each rule of policy over REST: what the client is told, and what the log and the metric say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.camara_schemas import validate_error
from tests.api.configuration import BLACKLISTED, SECRET, UNRECORDED, write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess

DAY = 86400
PREMIUM, SHARED, UNIVERSAL = "+449012345678", "+491801234567", "+443069990000"
FICTION = "+447700900123"
PLATFORM = {
    "deny": ["+53", "+4470"],
    "allow": ["+4477", "+5350"],
    "countries": ["GB", "DE", "US", "CU"],
    "grantable_classes": ["shared_cost"],
    "caller_rates": [{"calls": 4, "seconds": DAY}],
    "callee_rates": [{"calls": 3, "seconds": 60}, {"calls": 3, "seconds": DAY}],
}
OWN_BLACKLISTED = "+442071234567"
POLICIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "strict": {
        "blacklist": [OWN_BLACKLISTED],
        "deny": ["+4420"],
        "allow": ["+44207"],
        "countries": ["GB"],
        "classes": [],
    },
    "lenient": {
        "allow": ["+53", "+"],
        "countries": ["FR", "GB", "DE"],
        "classes": ["premium_rate", "shared_cost"],
    },
    "exact": {"require_valid": True},
    "busy": {"enterprise_rates": [{"calls": 5, "seconds": DAY}]},
    "talkative": {"caller_rates": [{"calls": 2, "seconds": 60}, {"calls": 2, "seconds": DAY}]},
    "insistent": {"callee_rates": [{"calls": 2, "seconds": DAY}]},
    "rival": {
        "caller_rates": [{"calls": 2, "seconds": DAY}],
        "callee_rates": [{"calls": 2, "seconds": DAY}],
    },
    "far": {"destination_rates": [{"prefix": "+49", "calls": 2, "seconds": 3600}]},
    "patient": {"repeat_after": 300},
}


@dataclass
class Guarded:
    """An api with an enterprise, and a client of the same name, for each of `POLICIES`."""

    process: ApiProcess
    http: httpx2.Client
    engine: PlayedEngine

    def post(self, client: str, *, caller: str = "", callee: str = "", **changes: Any) -> httpx2.Response:
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": SECRET}
        token = self.http.post("/oauth2/token", data=form).json()["access_token"]
        numbers = {"caller": {"number": caller or new_number()}, "callee": {"number": callee or new_number()}}
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.post(f"{BASE_PATH}/calls", json={**numbers, **changes}, headers=headers)

    def counted(self, rule: str, origin: str) -> float:
        labels = {"what": "call", "rule": rule, "origin": origin}
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.http.get("/metrics").text)
            for sample in family.samples
            if sample.name == "dialbridge_policy_refusals_total" and sample.labels == labels
        )

    def logged(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.process.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "call_refused"]

    def refusal(
        self, client: str, rule: str, origin: str, *, party: str | None = None, **wanted: Any
    ) -> httpx2.Response:
        """Posts a call, and finds its refusal in the log and in the metric but not in the answer."""
        before, lines = self.counted(rule, origin), len(self.logged())
        answer = self.post(client, **wanted)
        assert answer.status_code in (422, 429), answer.text
        validate_error(answer.status_code, answer.json())
        assert rule not in answer.text
        assert self.counted(rule, origin) == before + 1
        (line,) = self.logged()[lines:]
        assert (line["rule"], line["origin"], line["party"]) == (rule, origin, party)
        assert (line["enterprise_id"], line["client_id"]) == (client, client)
        assert {"caller", "callee"} <= line.keys()
        for number in (wanted.get("caller"), wanted.get("callee")):
            assert number is None or number not in self.process.log()
        return answer


@pytest.fixture(scope="module")
def guarded(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    changes = {
        "policy": PLATFORM,
        "enterprises": [
            {"id": name, "number": f"+4420794600{index:02}", "callers": "anyone", "policy": policy}
            for index, (name, policy) in enumerate(POLICIES.items())
        ]
        + [
            {"id": "members", "number": "+442079460090", "members": ["+442079460091"]},
            {"id": "silent", "number": "+442079460092", "callers": "anyone", "recording": "never"},
            {"id": "full", "number": "+442079460093", "callers": "anyone", "max_calls": 0},
            {"id": "slow", "number": "+442079460094", "callers": "anyone", "max_cps": 0.01},
        ],
        "clients": [
            {"id": name, "secret": SECRET, "enterprise": name}
            for name in (*POLICIES, "members", "silent", "full", "slow")
        ],
    }
    engine = PlayedEngine(redis_url, "guarded")
    engine.start()
    process = ApiProcess(write_config(folder, redis_url, "guarded", changes=changes))
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        yield Guarded(process, http, engine)
    process.stop()
    engine.stop()


@pytest.mark.parametrize("party", ["caller", "callee"])
@pytest.mark.parametrize(
    ("client", "number", "rule", "origin"),
    [
        ("plain", BLACKLISTED, "blacklist", "platform"),
        ("strict", OWN_BLACKLISTED, "blacklist", "enterprise"),
        ("plain", "+5371234567", "prefix", "platform"),
        ("strict", "+442081234567", "prefix", "enterprise"),
        ("plain", "+33112345678", "country", "platform"),
        ("strict", "+493012345678", "country", "enterprise"),
        ("plain", PREMIUM, "number_class", "platform"),
        ("plain", SHARED, "number_class", "platform"),
        ("plain", "+44999", "number_class", "platform"),
        ("strict", UNIVERSAL, "number_class", "enterprise"),
        # What an enterprise allows itself changes nothing about the platform's own rules.
        ("lenient", BLACKLISTED, "blacklist", "platform"),
        ("lenient", "+5371234567", "prefix", "platform"),
        ("lenient", "+33112345678", "country", "platform"),
        ("lenient", PREMIUM, "number_class", "platform"),
        ("lenient", "+12125551234", "country", "enterprise"),
    ],
)
def test_a_number_that_a_rule_refuses_is_422_not_available(
    guarded: Guarded, client: str, number: str, rule: str, origin: str, party: str
) -> None:
    other = {"caller": "callee", "callee": "caller"}[party]
    wanted = {party: number, other: "+442071112222"}
    answer = guarded.refusal(client, rule, origin, party=party, **wanted)
    code = f"{party.upper()}_NOT_AVAILABLE"
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("client", "callee"),
    [
        ("plain", "+12345678"),
        ("plain", FICTION),
        ("plain", UNIVERSAL),
        ("plain", "+5350123456"),
        ("strict", "+442071113333"),
        ("lenient", SHARED),
        ("exact", "+442071114444"),
    ],
)
def test_a_number_that_no_rule_refuses_is_called(guarded: Guarded, client: str, callee: str) -> None:
    caller = f"+442071{new_number()[-6:]}"  # `strict` allows no other area of London
    answer = guarded.post(client, caller=caller, callee=callee)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("party", ["caller", "callee"])
def test_a_number_off_the_pattern_or_of_no_numbering_plan_is_422_invalid(
    guarded: Guarded, party: str
) -> None:
    answer = guarded.refusal("plain", "e164", "platform", party=party, **{party: "07700900123"})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PHONE_NUMBER")
    answer = guarded.refusal("exact", "numbering_plan", "enterprise", party=party, **{party: "+4477009001"})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PHONE_NUMBER")


def test_a_caller_who_calls_itself(guarded: Guarded) -> None:
    answer = guarded.refusal("plain", "same_number", "platform", caller=FICTION, callee=FICTION)
    assert (answer.status_code, answer.json()["code"]) == (422, "SAME_CALLER_CALLEE")


def test_a_caller_who_is_no_member(guarded: Guarded) -> None:
    answer = guarded.refusal("members", "members", "enterprise", party="caller", caller=FICTION)
    assert (answer.status_code, answer.json()["code"]) == (422, "CALLER_NOT_AVAILABLE")


def test_what_may_not_be_recorded(guarded: Guarded) -> None:
    wanted: dict[str, Any] = {"callee": UNRECORDED, "recordingEnabled": True}
    answer = guarded.refusal("plain", "recording", "platform", party="callee", **wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "RECORDING_NOT_SUPPORTED")
    answer = guarded.refusal("silent", "recording", "enterprise", recordingEnabled=True)
    assert (answer.status_code, answer.json()["code"]) == (422, "RECORDING_NOT_SUPPORTED")


def too_many(answer: httpx2.Response, *, longer_than: int, at_most: int) -> None:
    assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert longer_than < int(answer.headers["retry-after"]) <= at_most


def test_an_enterprise_s_live_calls_and_pace(guarded: Guarded) -> None:
    too_many(guarded.refusal("full", "max_calls", "enterprise"), longer_than=0, at_most=60)
    assert guarded.post("slow").status_code == 201
    too_many(guarded.refusal("slow", "max_cps", "enterprise"), longer_than=0, at_most=100)


def test_an_enterprise_s_rate(guarded: Guarded) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: guarded.post("busy").status_code, range(12)))
    assert sorted(answers) == [201] * 5 + [429] * 7
    too_many(guarded.refusal("busy", "enterprise_rate", "enterprise"), longer_than=3600, at_most=DAY)


def test_a_caller_s_rate(guarded: Guarded) -> None:
    caller = new_number()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: guarded.post("talkative", caller=caller).status_code, range(8)))
    assert sorted(answers) == [201] * 2 + [429] * 6
    answer = guarded.refusal("talkative", "caller_rate", "enterprise", party="caller", caller=caller)
    too_many(answer, longer_than=3600, at_most=DAY)
    assert guarded.post("talkative").status_code == 201, "another caller"
    assert guarded.post("rival", caller=caller).status_code == 201, "another enterprise"


def test_the_platform_counts_a_caller_s_calls_for_whichever_enterprise(guarded: Guarded) -> None:
    caller = new_number()
    for client in ("plain", "lenient", "exact", "plain"):
        assert guarded.post(client, caller=caller).status_code == 201
    answer = guarded.refusal("far", "caller_rate", "platform", party="caller", caller=caller)
    too_many(answer, longer_than=3600, at_most=DAY)


def test_a_callee_s_rate(guarded: Guarded) -> None:
    callee = new_number()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: guarded.post("insistent", callee=callee).status_code, range(8)))
    assert sorted(answers) == [201] * 2 + [429] * 6
    answer = guarded.refusal("insistent", "callee_rate", "enterprise", party="callee", callee=callee)
    too_many(answer, longer_than=3600, at_most=DAY)
    assert guarded.post("rival", callee=callee).status_code == 201, "another enterprise"
    answer = guarded.refusal("plain", "callee_rate", "platform", party="callee", callee=callee)
    too_many(answer, longer_than=3600, at_most=DAY)


def test_a_destination_s_rate(guarded: Guarded) -> None:
    for last in range(2):
        assert guarded.post("far", callee=f"+49301234567{last}").status_code == 201
    answer = guarded.refusal("far", "destination_rate", "enterprise", party="callee", callee="+493012345679")
    too_many(answer, longer_than=3000, at_most=3600)
    assert guarded.post("far").status_code == 201, "another destination"


def test_the_same_two_not_again_at_once(guarded: Guarded) -> None:
    pair = {"caller": new_number(), "callee": new_number()}
    first = guarded.post("patient", **pair)
    assert first.status_code == 201
    assert guarded.post("patient", **pair).json()["code"] == "ALREADY_EXISTS"
    guarded.engine.end(first.json()["callId"])
    answer = guarded.refusal("patient", "repeat", "enterprise", **pair)
    too_many(answer, longer_than=200, at_most=300)
    back = guarded.post("patient", caller=pair["callee"], callee=pair["caller"])
    assert back.status_code == 201, "the other way round"
    assert guarded.post("plain", **pair).status_code == 201, "another enterprise"


def test_without_a_limit_the_same_two_may_talk_again_at_once(guarded: Guarded) -> None:
    pair = {"caller": new_number(), "callee": new_number()}
    for _ in range(2):
        answer = guarded.post("plain", **pair)
        assert answer.status_code == 201
        guarded.engine.end(answer.json()["callId"])


def test_a_refused_call_counts_for_no_limit(guarded: Guarded) -> None:
    caller = new_number()
    for _ in range(3):
        assert guarded.post("talkative", caller=caller, callee=PREMIUM).status_code == 422
    for _ in range(2):
        assert guarded.post("talkative", caller=caller).status_code == 201
    assert guarded.post("talkative", caller=caller).status_code == 429
