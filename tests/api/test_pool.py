"""The pool of minutes as clients and administrators meet it."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.calls_service import CALL_ENDS_AFTER, POOL_TOPPED_UP_AFTER, more_minutes_after
from config import PoolSettings
from tests.api.camara_schemas import validate_error
from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess
from tests.support.waiting import wait_until

MONTHLY = PoolSettings(monthly_minutes=1)


def configured(folder: Path, redis_url: str, prefix: str, **pool: Any) -> Path:
    enterprises = [
        {"id": "acme", "number": "+442079460000", "callers": "anyone", "pool": pool},
        {"id": "globex", "number": "+442079460001", "callers": "anyone"},
    ]
    return write_config(folder, redis_url, prefix, changes={"enterprises": enterprises})


@pytest.fixture
def config(redis_url: str, prefix: str, tmp_path: Path) -> Path:
    return configured(tmp_path, redis_url, prefix, increment=60, low_water_minutes=5)


@pytest.fixture
def api(config: Path) -> Iterator[httpx2.Client]:
    process = ApiProcess(config)
    process.start()
    with httpx2.Client(base_url=process.root, trust_env=False, timeout=20) as http:
        form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": SECRET}
        token = http.post("/oauth2/token", data=form).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        yield http
    process.stop()


def post(http: httpx2.Client) -> httpx2.Response:
    body = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
    return http.post(f"{BASE_PATH}/calls", json=body)


def run(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dialbridge", *arguments, "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def lines(config: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run(config, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def top_up(config: Path, minutes: int, reference: str) -> str:
    done = run(config, "pool", "top-up", "acme", str(minutes), "--reference", reference)
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()


def period() -> tuple[str, ...]:
    now, day = datetime.now(UTC), timedelta(days=1)
    return "--from", f"{now - day:%Y-%m-%d}", "--to", f"{now + day:%Y-%m-%dT%H:%M:%S}"


def refused(answer: httpx2.Response) -> int:
    """Seconds that the refusal asks for."""
    assert (answer.status_code, answer.json()["code"]) == (429, "QUOTA_EXCEEDED"), answer.text
    validate_error(429, answer.json())
    return int(answer.headers["retry-after"])


def test_without_minutes_there_is_no_call_and_with_them_there_is(
    config: Path, api: httpx2.Client, engine: PlayedEngine
) -> None:
    assert refused(post(api)) == POOL_TOPPED_UP_AFTER
    assert top_up(config, 6, "invoice 7") == "6 minutes added"
    call_id = post(api).json()["callId"]
    assert lines(config, "pool", "show", "acme") == [
        {"enterprise_id": "acme", "balance": 360, "reserved": 300, "free": 60, "month": None, "low": False}
    ]
    second = post(api).json()["callId"]
    assert refused(post(api)) == CALL_ENDS_AFTER
    engine.connect(call_id)
    engine.end(call_id, duration=61)
    engine.end(second)
    assert lines(config, "pool", "show") == [
        {"enterprise_id": "acme", "balance": 240, "reserved": 0, "free": 240, "month": None, "low": True}
    ]
    assert 'dialbridge_pool_balance_seconds{enterprise="acme"} 240.0' in api.get("/metrics").text
    booked = lines(config, "pool", "ledger", "acme", *period())
    assert [(one["kind"], one["reference"], one["seconds"], one["balance"]) for one in booked] == [
        ("top_up", "invoice 7", 360, 360),
        ("call", call_id, -120, 240),
    ]
    cdrs = lines(config, "cdr", "export", *period())
    assert [(cdr["duration"], cdr["billed_seconds"]) for cdr in cdrs] == [(61, 120), (0, 0)]
    assert lines(config, "pool", "check") == []


def test_a_pool_that_runs_low_is_told_once_by_one_notifier(
    config: Path, api: httpx2.Client, engine: PlayedEngine, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(config.read_text())
    notifiers = [NotifierProcess(config), NotifierProcess(other)]
    try:
        for notifier in notifiers:
            notifier.start()
        top_up(config, 6, "invoice 7")
        for _ in range(2):
            call_id = post(api).json()["callId"]
            engine.connect(call_id)
            engine.end(call_id, duration=61)
        wait_until(lambda: any("pool_is_low" in notifier.log() for notifier in notifiers))
    finally:
        for notifier in notifiers:
            notifier.stop()
    (told,) = (
        line for notifier in notifiers for line in notifier.log().splitlines() if "pool_is_low" in line
    )
    assert json.loads(told)["balance_seconds"] == 240


def test_a_top_up_is_audited_and_added_once(config: Path) -> None:
    top_up(config, 6, "invoice 7")
    assert top_up(config, 6, "invoice 7") == "nothing added: these minutes were added before"
    other = run(config, "pool", "top-up", "acme", "5", "--reference", "invoice 7")
    assert (other.returncode, "another amount" in other.stderr) == (1, True)
    (pool,) = lines(config, "pool", "show")
    assert pool["balance"] == 360
    audited = lines(config, "audit", "export", *period())[0]
    assert (audited["action"], audited["actor"]) == ("pool.top_up", f"command:{getpass.getuser()}")
    assert (audited["subject"], audited["detail"]) == ("invoice 7", "6 minutes")


@pytest.mark.parametrize(
    ("enterprise", "complaint"),
    [("nobody", "there is no enterprise 'nobody'"), ("globex", "'globex' has no pool of minutes")],
)
def test_what_has_no_pool_cannot_be_topped_up(config: Path, enterprise: str, complaint: str) -> None:
    done = run(config, "pool", "top-up", enterprise, "5", "--reference", "x")
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stdout == ""


def test_books_that_do_not_add_up_are_an_exit_status(config: Path, engine: PlayedEngine) -> None:
    top_up(config, 6, "invoice 7")

    async def lose_a_second() -> None:
        change: Any = engine.redis.hincrby(engine.keys.pool("acme"), "balance", -1)
        await change

    engine.run(lose_a_second())
    done = run(config, "pool", "check")
    assert done.returncode == 1
    (found,) = map(json.loads, done.stdout.splitlines())
    assert found == {
        "enterprise_id": "acme",
        "call_id": None,
        "what": "the balance is 359, the sum of the ledger 360",
    }


@pytest.mark.parametrize(
    ("pool", "in_use", "now", "seconds"),
    [
        (MONTHLY, True, datetime(2026, 1, 1, tzinfo=UTC), CALL_ENDS_AFTER),
        (MONTHLY, False, datetime(2026, 1, 1, tzinfo=UTC), 31 * 86400),
        (MONTHLY, False, datetime(2026, 2, 28, 23, 59, 59, 500000, tzinfo=UTC), 1),
        (MONTHLY, False, datetime(2026, 12, 31, 23, 0, tzinfo=UTC), 3600),
        (PoolSettings(), False, datetime(2026, 1, 1, tzinfo=UTC), POOL_TOPPED_UP_AFTER),
    ],
)
def test_when_to_try_again(pool: PoolSettings, in_use: bool, now: datetime, seconds: int) -> None:
    assert more_minutes_after(pool, now, in_use=in_use) == seconds
