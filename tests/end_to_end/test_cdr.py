"""`dialbridge cdr export` after real calls."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_IMODE

import pytest

from state.call import DisconnectionReason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.talk import talking
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def trunk() -> Iterator[SipTrunk]:
    with SipTrunk() as phones:
        yield phones


@pytest.fixture(scope="module")
def product(trunk: SipTrunk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    overrides = {"call": {"record_digits": True}}
    with Product(tmp_path_factory.mktemp("cdr"), trunk_port=trunk.port, overrides=overrides) as running:
        yield running


def export(product: Product, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dialbridge", "cdr", "export", "--config", str(product.config)]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)


def period() -> tuple[str, ...]:
    today = datetime.now(UTC)
    return ("--from", f"{today - DAY:%Y-%m-%d}", "--to", f"{today + DAY:%Y-%m-%dT%H:%M:%S}")


def test_each_call_is_exported_with_digits_and_quality(
    product: Product, trunk: SipTrunk, tmp_path: Path
) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        offered = talk.caller.offer.payload_type("telephone-event")
        caller.send_digits("12#", payload_type=offered)
        callee.wait_for_digits("12#")
        call = talk.end()
    busy_id = product.create(fresh_number(), fresh_number())
    busy = trunk.ringing_at(product.call(busy_id).caller)
    busy.respond("486 Busy Here")
    product.wait_ended(busy_id)

    exported = export(product, *period())
    assert exported.returncode == 0, exported.stderr
    talked, refused = (json.loads(line) for line in exported.stdout.splitlines())
    assert (talked["call_id"], talked["reason"], talked["duration"]) == (call.id, "hangUp", call.duration)
    assert "".join(press["digit"] for press in talked["digits"]) == "12#"
    assert call.caller_quality is not None
    assert talked["caller_quality"] == call.caller_quality.model_dump(mode="json")
    assert talked["callee_quality"]["packets_received"] > 0
    assert (refused["call_id"], refused["reason"], refused["duration"]) == (busy_id, "callerBusy", 0)
    assert refused["caller_quality"] is None
    assert [attempt["sip_status"] for attempt in refused["attempts"]] == [486]

    path = tmp_path / "billing" / "cdr.csv"
    exported = export(product, *period(), "--format", "csv", "--output", str(path))
    assert (exported.returncode, exported.stdout) == (0, "")
    assert exported.stderr == f"2 records in {path}\n"
    assert S_IMODE(path.stat().st_mode) == 0o600
    first, second = csv.DictReader(io.StringIO(path.read_text(), newline=""))
    assert first["call_id"] == call.id
    assert first["caller"] == call.caller
    assert first["caller_codec"] == "PCMU"
    assert float(first["callee_mos"]) == talked["callee_quality"]["mos"]
    assert json.loads(first["digits"]) == talked["digits"]
    assert (first["callee_dialled"], first["callee_ended_by"]) == (call.callee, "platform")
    assert json.loads(first["attempts"]) == talked["attempts"]
    assert (second["call_id"], second["caller_codec"], second["digits"]) == (busy_id, "", "")
    assert (second["caller_sip_status"], second["caller_q850"], second["caller_trunk"]) == (
        "486",
        "17",
        "default",
    )
    assert (second["callee_sip_status"], second["callee_invited_at"]) == ("", "")


def test_the_record_of_a_call_whose_engine_died_has_the_digits_pressed_before(
    trunk: SipTrunk, tmp_path: Path
) -> None:
    """Up to the engine's last look at the call."""
    with ExitStack() as stack:
        overrides: Overrides = {"call": {"record_digits": True}, "quality": {"interval": 0.2}}
        dying = stack.enter_context(Product(tmp_path, trunk_port=trunk.port, overrides=overrides))
        caller, callee = (stack.enter_context(RtpPeer(frequency)) for frequency in (440, 1000))
        talk = stack.enter_context(talking(dying, trunk, caller, callee))
        offered = talk.caller.offer.payload_type("telephone-event")
        caller.send_digits("12#", payload_type=offered)
        wait_until(
            lambda: len(dying.call(talk.call_id).digits) == 3, what="three digits in the call's record"
        )
        dying.engine.kill()
        assert dying.wait_ended(talk.call_id).reason is DisconnectionReason.OTHER
        (record,) = map(json.loads, export(dying, *period()).stdout.splitlines())
    assert (record["call_id"], record["reason"]) == (talk.call_id, "other")
    assert [(press["leg"], press["digit"]) for press in record["digits"]] == [
        ("caller", digit) for digit in "12#"
    ]
    assert record["caller_quality"]["packets_received"] > 0


def test_the_record_of_a_call_whose_engine_died_has_the_attempts_made_until_then(
    trunk: SipTrunk, tmp_path: Path
) -> None:
    with Product(tmp_path, trunk_port=trunk.port) as dying:
        call_id = dying.create(fresh_number(), fresh_number())
        trunk.ringing_at(dying.call(call_id).caller).answer()
        first = trunk.ringing_at(dying.call(call_id).callee)
        target = fresh_number()
        first.respond("302 Moved Temporarily", f"Contact: <sip:{target}@127.0.0.1>")
        trunk.ringing_at(target).respond("180 Ringing")
        wait_until(lambda: dying.call(call_id).attempts[-1].ringing_at, what="ringing in the call's record")
        dying.engine.kill()
        assert dying.wait_ended(call_id).reason is None
        (record,) = map(json.loads, export(dying, *period()).stdout.splitlines())
    caller, redirected, ringing = record["attempts"]
    assert (caller["dialled"], caller["sip_status"], caller["ended_at"]) == (record["caller"], None, None)
    assert caller["answered_at"] is not None
    assert (redirected["dialled"], redirected["sip_status"]) == (record["callee"], 302)
    assert (ringing["dialled"], ringing["answered_at"], ringing["ended_by"]) == (target, None, None)


def test_a_period_without_calls_is_empty(product: Product) -> None:
    exported = export(product, "--from", "2001-01-01", "--to", "2001-02-01")
    assert (exported.returncode, exported.stdout) == (0, "")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--from", "yesterday", "--to", "2001-02-01"), "yesterday"),
        (("--from", "2001-02-01", "--to", "2001-01-01"), "--to must be later than --from"),
        (("--from", "2001-01-01", "--to", "2001-02-01", "--format", "xml"), "xml"),
        (("--from", "2001-01-01"), "--to"),
    ],
)
def test_what_cannot_be_meant_is_refused(product: Product, options: tuple[str, ...], complaint: str) -> None:
    refused = export(product, *options)
    assert refused.returncode != 0
    assert complaint in refused.stderr
    assert refused.stdout == ""


def test_without_redis_the_former_file_stays(product: Product, tmp_path: Path) -> None:
    config = tmp_path / "dialbridge.toml"
    config.write_text('[redis]\nurl = "redis://127.0.0.1:1/0"\n')
    output = tmp_path / "cdr.jsonl"
    output.write_text("former")
    failed = export(product, *period(), "--output", str(output), "--config", str(config))
    assert failed.returncode == 1
    assert failed.stderr.startswith("dialbridge: Redis cannot be reached")
    assert output.read_text() == "former"
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["cdr.jsonl", "dialbridge.toml"]
