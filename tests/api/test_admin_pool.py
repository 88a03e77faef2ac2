"""The pool of minutes by `/admin/v1`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from state.keys import Keys
from tests.api.configuration import write_config
from tests.api.played_engine import PlayedEngine
from tests.api.processes import ApiProcess
from tests.api.test_admin import ACME, CLIENTS, ENTERPRISES, Administered, assert_refused
from tests.api.test_pool import lines, period

POOL, TOP_UPS, LEDGER = f"{ACME}/pool", f"{ACME}/pool/top-ups", f"{ACME}/pool/ledger"
SIX = {"minutes": 6, "reference": "invoice 7"}


@pytest.fixture
def config(redis_url: str, prefix: str, tmp_path: Path) -> Path:
    enterprises = [
        {
            "id": "acme",
            "number": "+442079460000",
            "callers": "anyone",
            "pool": {"increment": 60, "low_water_minutes": 5},
        },
        {"id": "globex", "number": "+442079460001"},
    ]
    changes = {"clients": CLIENTS, "enterprises": enterprises}
    return write_config(tmp_path, redis_url, prefix, changes=changes)


@pytest.fixture
def admin(config: Path, engine: PlayedEngine) -> Iterator[Administered]:
    del engine  # takes the calls
    process = ApiProcess(config)
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        yield Administered(http, process)
    process.stop()


def audited(config: Path) -> list[dict[str, Any]]:
    return [one for one in lines(config, "audit", "export", *period()) if one["action"] == "pool.top_up"]


def test_minutes_are_added_once_for_each_reference_and_audited(admin: Administered, config: Path) -> None:
    empty = {"balance": 0, "reserved": 0, "free": 0, "month": None, "low": False}
    assert admin.done("GET", POOL) == empty
    first, again = (admin.ask("POST", TOP_UPS, json=SIX) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == SIX
    other = admin.ask("POST", TOP_UPS, json={**SIX, "minutes": 7})
    assert_refused(other, 409, "ALREADY_EXISTS")
    assert admin.done("GET", POOL) == {**empty, "balance": 360, "free": 360}
    entries = audited(config)
    assert [(one["actor"], one["subject"], one["detail"]) for one in entries] == [
        ("operator", "invoice 7", "6 minutes"),
        ("operator", "invoice 7", "6 minutes"),
        ("operator", "invoice 7", "7 minutes"),
    ]
    assert {one["enterprise_id"] for one in entries} == {"acme"}


def test_what_live_calls_reserve_is_not_free(admin: Administered, engine: PlayedEngine) -> None:
    admin.done("POST", TOP_UPS, json=SIX)
    call_id = admin.call().json()["callId"]
    assert admin.done("GET", POOL) == {
        "balance": 360,
        "reserved": 300,
        "free": 60,
        "month": None,
        "low": False,
    }
    engine.connect(call_id)
    engine.end(call_id, duration=61)
    assert admin.done("GET", POOL) == {"balance": 240, "reserved": 0, "free": 240, "month": None, "low": True}
    booked = admin.done("GET", LEDGER)["entries"]
    assert [(one["kind"], one["reference"], one["seconds"], one["balance"]) for one in booked] == [
        ("top_up", "invoice 7", 360, 360),
        ("call", call_id, -120, 240),
    ]


def test_the_ledger_comes_in_pages_and_of_a_period(
    admin: Administered, engine: PlayedEngine, prefix: str
) -> None:
    days = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]

    async def write() -> None:
        for day in days:
            fields: Any = {"kind": "top_up", "reference": f"of {day:%d}", "seconds": 60, "balance": 60}
            entry = f"{int(day.timestamp() * 1000)}-0"
            await engine.redis.xadd(Keys(prefix).ledger("acme"), fields, id=entry)

    engine.run(write())
    whole = admin.done("GET", LEDGER)
    assert ([one["reference"] for one in whole["entries"]], whole["more"]) == (
        ["of 01", "of 02", "of 03"],
        False,
    )
    assert whole["entries"][0]["at"] == "2026-11-01T00:00:00.000Z"
    page = admin.done("GET", LEDGER, params={"limit": 2})
    assert ([one["reference"] for one in page["entries"]], page["more"]) == (["of 01", "of 02"], True)
    page = admin.done("GET", LEDGER, params={"limit": 2, "after": page["entries"][-1]["id"]})
    assert ([one["reference"] for one in page["entries"]], page["more"]) == (["of 03"], False)
    for start in ("2026-11-02", "2026-11-02T00:00:00Z", "2026-11-02T01:00:00+01:00"):
        found = admin.done("GET", LEDGER, params={"from": start, "to": "2026-11-03"})
        assert [one["reference"] for one in found["entries"]] == ["of 02"], start
    for end in ("1970-01-01", "0220-11-17T00:44:53+04:05"):
        assert admin.done("GET", LEDGER, params={"to": end}) == {"entries": [], "more": False}


@pytest.mark.parametrize("enterprise", ["globex", "nobody"])
def test_without_a_pool_there_is_nothing(admin: Administered, enterprise: str, config: Path) -> None:
    pool = f"{ENTERPRISES}/{enterprise}/pool"
    assert_refused(admin.ask("GET", pool), 404, "NOT_FOUND")
    assert_refused(admin.ask("GET", f"{pool}/ledger"), 404, "NOT_FOUND")
    assert_refused(admin.ask("POST", f"{pool}/top-ups", json=SIX), 404, "NOT_FOUND")
    assert audited(config) == []


def test_a_pool_that_was_taken_away_leaves_its_ledger(admin: Administered) -> None:
    admin.done("POST", TOP_UPS, json=SIX)
    admin.done("PATCH", ACME, json={"pool": None})
    assert_refused(admin.ask("GET", POOL), 404, "NOT_FOUND")
    assert [one["seconds"] for one in admin.done("GET", LEDGER)["entries"]] == [360]


NO_TOP_UPS: list[Any] = [
    {"minutes": 6},
    {"reference": "x"},
    {"minutes": 0, "reference": "x"},
    {"minutes": -6, "reference": "x"},
    {"minutes": 1.5, "reference": "x"},
    {"minutes": "6", "reference": "x"},
    {"minutes": True, "reference": "x"},
    {"minutes": 100_000_001, "reference": "x"},
    {"minutes": 6, "reference": ""},
    {"minutes": 6, "reference": "   "},
    {"minutes": 6, "reference": "a\nb"},
    {"minutes": 6, "reference": "\u200b"},
    {"minutes": 6, "reference": "x", "more": 1},
    [],
]


def test_what_is_no_top_up_adds_nothing(admin: Administered, config: Path) -> None:
    for body in NO_TOP_UPS:
        assert_refused(admin.ask("POST", TOP_UPS, json=body), 400, "INVALID_ARGUMENT")
    assert admin.done("GET", POOL)["balance"] == 0
    assert audited(config) == []


def test_a_reference_has_200_characters_at_most(admin: Administered) -> None:
    longest = {"minutes": 1, "reference": "é" * 200}
    assert admin.ask("POST", TOP_UPS, json=longest).status_code == 201
    longer = {"minutes": 1, "reference": "é" * 201}
    assert_refused(admin.ask("POST", TOP_UPS, json=longer), 400, "OUT_OF_RANGE")


NO_PAGES = [{"limit": "0"}, {"limit": "1001"}, {"from": "yesterday"}, {"after": "x"}, {"to": "-"}]


def test_what_is_no_period_or_page(admin: Administered) -> None:
    for query in NO_PAGES:
        assert_refused(admin.ask("GET", LEDGER, params=query), 400, "INVALID_ARGUMENT")


def test_only_the_scope_opens_it(admin: Administered) -> None:
    shop = admin.bearer("shop")
    for method, path in (("GET", POOL), ("GET", LEDGER), ("POST", TOP_UPS)):
        assert_refused(admin.http.request(method, path), 401, "UNAUTHENTICATED")
        assert_refused(admin.http.request(method, path, headers=shop, json=SIX), 403, "PERMISSION_DENIED")
