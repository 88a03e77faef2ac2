"""`dialbridge erase`: afterwards nothing that Redis or the disk holds names the parties."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from redis.asyncio import Redis

from config import RecordingSettings
from media.recordings import RecordingStore
from state.attempts import LegAttempt
from state.audit import AuditEntry, AuditLog
from state.call import (
    CallState,
    DisconnectionReason,
    Findings,
    PressedDigit,
    RecordingResult,
    Transition,
    utc_now,
)
from state.cdr import CallDetailRecord, CallDetailRecords
from state.connection import connect
from state.keys import Keys
from state.sip_trace import SipMessage, SipTrace
from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess
from tests.api.sink_server import SinkServer
from tests.api.test_recordings import bearer
from tests.media.wav_samples import left_by_dead_engine, sine, write_finished
from tests.support.waiting import wait_until

DAY = "2026-11-22"


async def dump(redis: Redis, prefix: str) -> dict[str, str]:
    """Everything that Redis holds for this test: each key's value as text."""
    readers: dict[str, Any] = {
        "string": redis.get,
        "hash": redis.hgetall,
        "list": lambda key: redis.lrange(key, 0, -1),
        "set": redis.smembers,
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        "stream": redis.xrange,
    }
    keys = [key async for key in redis.scan_iter(match=f"{{{prefix}}}:*")]
    kinds = {key: str(await redis.type(key)) for key in keys}
    # What has gone since it was found holds nothing any more.
    return {key: str(await readers[kind](key)) for key, kind in kinds.items() if kind != "none"}


@dataclass
class Platform:
    """An api, a notifier and a played engine, whose member is one number."""

    api: ApiProcess
    engine: PlayedEngine
    config: Path
    folder: Path
    redis_url: str
    prefix: str
    member: str
    redirected: str
    """Where each call is redirected to."""

    @property
    def keys(self) -> Keys:
        return Keys(self.prefix)

    def place(self, callee: str, sink: str | None = None, key: str = "key-1") -> str:
        body: dict[str, Any] = {"caller": {"number": self.member}, "callee": {"number": callee}}
        body |= {"recordingEnabled": True} | ({"sink": sink} if sink else {})
        answer = httpx2.post(
            f"{self.api.root}{BASE_PATH}/calls",
            json=body,
            headers={**bearer(self.api.root), "Idempotency-Key": key},
            trust_env=False,
            timeout=20,
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["callId"])

    def get(self, call_id: str, what: str = "") -> int:
        url = f"{self.api.root}{BASE_PATH}/calls/{call_id}{what}"
        return httpx2.get(url, headers=bearer(self.api.root), trust_env=False, timeout=20).status_code

    def traced(self, call_id: str, callee: str) -> None:
        message = SipMessage(
            call_id=call_id,
            leg="callee",
            direction="sent",
            at=utc_now(),
            text=f"INVITE sip:{callee}@x SIP/2.0",
        )

        async def append() -> None:
            async with connect(self.redis_url) as redis:
                await SipTrace(redis, self.keys, retention=600).append([message])

        self.engine.run(append())

    def lived(self, call_id: str, callee: str) -> Path:
        """The call ends, with digits, a SIP trace and a recording; the recording's file."""
        self.engine.connect(call_id)
        self.traced(call_id, callee)
        name = f"{DAY}/{call_id}.wav"
        path = self.folder / "recordings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_finished(path, sine(440, 1.0))
        digit = PressedDigit(leg="caller", digit="7", duration_ms=100, at=utc_now())
        attempts = [
            LegAttempt(leg="callee", trunk="carrier", dialled=dialled, invited_at=utc_now())
            for dialled in (callee, self.redirected)
        ]
        end = Transition.to(
            CallState.DISCONNECTED,
            call_id=call_id,
            epoch=1,
            at=utc_now(),
            reason=DisconnectionReason.HANG_UP,
            duration=1,
            recording_result=RecordingResult.SUCCESS,
            findings=Findings(recording_path=name, digits=(digit,), attempts=tuple(attempts)),
        )
        self.engine.run(self.engine.calls.transition(end))
        return path

    def erase(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dialbridge", "erase", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def kept(self) -> dict[str, str]:
        async def read() -> dict[str, str]:
            async with connect(self.redis_url) as redis:
                return await dump(redis, self.prefix)

        return self.engine.run(read())

    def naming(self, *numbers: str) -> set[str]:
        """Keys whose name or value holds one of the numbers' digits, and files whose name or content does."""
        found = set()
        for number in numbers:
            digits = number.removeprefix("+")
            found |= {key for key, value in self.kept().items() if digits in key or digits in value}
            found |= {
                str(path)
                for path in (self.folder / "recordings").rglob("*")
                if digits in path.name or (path.is_file() and digits.encode() in path.read_bytes())
            }
        return found

    def records(self) -> list[CallDetailRecord]:
        async def read() -> list[CallDetailRecord]:
            async with connect(self.redis_url) as redis:
                hour = timedelta(hours=1)
                span = (utc_now() - hour, utc_now() + hour)
                return [one async for one in CallDetailRecords(redis, self.keys).between(*span)]

        return self.engine.run(read())

    def audited(self) -> list[AuditEntry]:
        async def read() -> list[AuditEntry]:
            async with connect(self.redis_url) as redis:
                log = AuditLog(redis, self.keys, retention_days=1)
                hour = timedelta(hours=1)
                return [one async for one in log.between(utc_now() - hour, utc_now() + hour)]

        return self.engine.run(read())


@pytest.fixture
def platform(engine: PlayedEngine, redis_url: str, prefix: str, tmp_path: Path) -> Iterator[Platform]:
    member = new_number()
    hourly = [{"calls": 100, "seconds": 3600}]
    enterprise = {
        "id": "acme",
        "number": "+442079460000",
        "members": [member],
        "policy": {"callee_rates": hourly},
        "pool": {"monthly_minutes": 100},
    }
    changes = {
        "policy": {"caller_rates": hourly, "callee_rates": hourly},
        "enterprises": [enterprise],
        "clients": [{"id": "shop", "secret": SECRET, "enterprise": "acme"}],
    }
    config = write_config(tmp_path, redis_url, prefix, changes=changes)
    api = ApiProcess(config)
    api.start()
    yield Platform(api, engine, config, tmp_path, redis_url, prefix, member, new_number())
    api.stop()


def test_nothing_that_names_the_parties_is_left_of_a_call(platform: Platform, sink: SinkServer) -> None:
    callee = new_number()
    notifier = NotifierProcess(platform.config)
    notifier.start()
    sink.answers["/gone"].extend([410])
    call_id = platform.place(callee, f"{sink.root}/gone")
    path = platform.lived(call_id, callee)
    wait_until(lambda: "disconnected" in platform.kept().get(platform.keys.dead_letters, ""))
    assert notifier.terminate() == 0
    for name in (f"{call_id}.ogg", f"{call_id}.incomplete.wav"):
        path.with_name(name).write_bytes(b"x")
    keys = platform.keys
    everywhere = {keys.call(call_id), keys.sip(call_id), keys.cdrs, keys.commands(platform.engine.engine_id)}
    found = platform.naming(callee)
    counted = {key for key in found if ":rate:" in key}
    assert len(counted) == 2
    assert found - counted == everywhere
    assert platform.naming(platform.redirected) == {keys.call(call_id), keys.cdrs}
    assert call_id in platform.kept()[keys.dead_letters]

    done = platform.erase("call", call_id)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"call_id": call_id, "files": 3})
    assert platform.naming(callee, platform.redirected) == set()
    assert platform.naming(platform.member) == {keys.members("acme")}
    left = {key for key, value in platform.kept().items() if call_id in key or call_id in value}
    (idempotency,) = [key for key in platform.kept() if "idempotency" in key]
    assert left == {keys.cdrs_masked, keys.audit, keys.ledger("acme"), idempotency}
    assert "'fingerprint': ''" in platform.kept()[idempotency]
    assert list((platform.folder / "recordings" / DAY).iterdir()) == []
    assert platform.get(call_id) == platform.get(call_id, "/recording") == 404

    (record,) = platform.records()
    assert (record.call_id, record.enterprise_id, record.duration) == (call_id, "acme", 1)
    assert (record.caller, record.callee) == (f"+44…{platform.member[-2:]}", f"+44…{callee[-2:]}")
    assert (record.digits, record.recording_path) == ((), None)
    (entry,) = platform.audited()
    assert (entry.action, entry.subject, entry.enterprise_id) == ("call.erased", call_id, "acme")
    command = [sys.executable, "-m", "dialbridge", "pool", "check", "--config", str(platform.config)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout) == (0, ""), "the ledger still has its record"


def test_what_the_engine_says_later_does_not_bring_it_back(platform: Platform) -> None:
    callee = new_number()
    call_id = platform.place(callee)
    platform.lived(call_id, callee)
    assert platform.erase("call", call_id).returncode == 0
    platform.traced(call_id, callee)
    assert not platform.engine.run(platform.engine.calls.attach_recording(call_id, f"{DAY}/x.wav"))
    assert platform.naming(callee) == set()


def test_a_second_time_there_is_nothing_to_erase(platform: Platform) -> None:
    callee = new_number()
    call_id = platform.place(callee)
    platform.lived(call_id, callee)
    assert platform.erase("call", call_id).returncode == 0
    audited = platform.audited()
    again = platform.erase("call", call_id)
    assert (again.returncode, again.stdout) == (4, "")
    assert platform.audited() == audited
    assert len(platform.records()) == 1
    assert platform.erase("call", "../etc/passwd").returncode == 2


def test_a_live_call_is_not_erased(platform: Platform) -> None:
    callee = new_number()
    call_id = platform.place(callee)
    for what in (("call", call_id), ("number", callee)):
        before = platform.kept()[platform.keys.call(call_id)]
        refused = platform.erase(*what)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert refused.stderr.strip() == f"the call {call_id} is live: end it first"
        assert platform.kept()[platform.keys.call(call_id)] == before
    assert platform.audited() == []


def test_a_recording_that_a_dead_engine_left_goes_with_its_call(platform: Platform) -> None:
    callee = new_number()
    call_id = platform.place(callee)
    platform.engine.end(call_id, recording_result=RecordingResult.FAIL)
    files = left_by_dead_engine(platform.folder / "recordings", call_id, channels="dual")
    for file in files:
        write_finished(file, sine(440, 0.5))
    done = platform.erase("call", call_id)
    assert (done.returncode, json.loads(done.stdout)["files"]) == (0, 2)
    assert not any(file.exists() for file in files)


def test_a_recording_that_is_still_being_stored_is_waited_for(platform: Platform) -> None:
    callee = new_number()
    call_id = platform.place(callee)
    platform.engine.end(call_id, recording_result=RecordingResult.FAIL)
    storing = RecordingStore(RecordingSettings(root=platform.folder / "recordings"))
    (live,) = storing.live_paths(call_id, "mixed")
    write_finished(live, sine(440, 0.5))
    refused = platform.erase("call", call_id)
    assert refused.returncode == 3
    assert "still being stored" in refused.stderr
    assert platform.get(call_id) == 200
    storing.keep(call_id, utc_now())
    storing.discard_live(call_id)
    done = platform.erase("call", call_id)
    assert (done.returncode, json.loads(done.stdout)["files"]) == (0, 1)
    storing.close()


def test_what_is_still_being_stored_keeps_no_other_call_of_the_number(platform: Platform) -> None:
    callee = new_number()
    first = platform.place(callee, key="first")
    path = platform.lived(first, callee)
    waiting = platform.place(callee, key="second")
    platform.engine.end(waiting, recording_result=RecordingResult.FAIL)
    storing = RecordingStore(RecordingSettings(root=platform.folder / "recordings"))
    (live,) = storing.live_paths(waiting, "mixed")
    write_finished(live, sine(440, 0.5))
    done = platform.erase("number", callee)
    assert (done.returncode, json.loads(done.stdout)) == (3, {"call_id": first, "files": 1})
    assert not path.exists()
    assert (platform.get(first), platform.get(waiting)) == (404, 200)
    storing.close()


def test_a_recording_whose_record_has_expired_is_erased_by_its_calls_id(platform: Platform) -> None:
    path = platform.folder / "recordings" / DAY / "old-call.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert platform.erase("call", "old-call").returncode == 0
    assert not path.exists()


def test_all_calls_of_a_number_and_no_others(platform: Platform) -> None:
    wanted, other = new_number(), new_number()
    ids = [platform.place(wanted, key="first")]
    first = platform.lived(ids[0], wanted)
    ids.append(platform.place(wanted, key="second"))
    second = platform.lived(ids[1], wanted)
    kept = platform.place(other, key="third")
    third = platform.lived(kept, other)
    order = [record.call_id for record in platform.records()]

    done = platform.erase("number", wanted)
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"call_id": call_id, "files": 1} for call_id in ids
    ]
    assert platform.naming(wanted) == set()
    assert not first.exists()
    assert not second.exists()
    assert third.exists()
    assert platform.get(kept) == platform.get(kept, "/recording") == 200
    assert platform.naming(other) != set()
    assert [record.call_id for record in platform.records()] == order
    erasures = [one for one in platform.audited() if one.action == "call.erased"]
    assert [(one.subject, one.detail) for one in erasures] == [
        (call_id, f"+44…{wanted[-2:]}") for call_id in ids
    ]
    assert platform.erase("number", wanted).returncode == 4
    shorter = other[:-1]
    before = platform.naming(other)
    assert platform.erase("number", shorter).returncode == 4
    assert platform.naming(other) == before, "another number begins with it"


def test_a_members_number_stays_a_members_unless_that_is_asked_for(platform: Platform) -> None:
    callee = new_number()
    call_id = platform.place(callee)
    platform.lived(call_id, callee)
    done = platform.erase("number", platform.member)
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1]) == {"member_of": "acme", "erased": False}
    assert platform.naming(platform.member) == {platform.keys.members("acme")}

    done = platform.erase("number", platform.member, "--members")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"member_of": "acme", "erased": True})
    assert platform.naming(platform.member) == set()
    assert platform.audited()[-1].action == "number.erased"
    assert platform.audited()[-1].subject == f"+44…{platform.member[-2:]}"


@pytest.mark.parametrize("number", ["442079460000", "+0123456", "+44 2079460000", "*"])
def test_what_is_no_number_is_wrong_usage(platform: Platform, number: str) -> None:
    assert platform.erase("number", number).returncode == 2
