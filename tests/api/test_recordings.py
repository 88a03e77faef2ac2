"""GET /calls/{callId}/recording."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import httpx2
import numpy as np
import pyrage
import pytest
import soundfile
from pydantic import SecretStr

from media.file_vault import FileVault
from state.audit import AuditEntry, AuditLog
from state.call import RecordingResult
from state.connection import connect
from state.keys import Keys
from tests.api.camara_schemas import validate, validate_error
from tests.api.configuration import SECRET, write_config
from tests.api.conftest import BASE_PATH, Platform
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess
from tests.media.wav_samples import Samples, sine, write_finished
from tests.support.audio import has_tone

BASE64_LIMIT = 20_971_520
LARGE = BASE64_LIMIT // 4 * 3 + 2
"""Bytes of the smallest WAV (its samples have two) that is too large for base64 in the API's JSON."""
DAY = "2026-11-22"


def fetch(
    platform: Platform, call_id: str, accept: str | None = None, *, method: str = "GET", **headers: str
) -> httpx2.Response:
    if accept is not None:
        headers["Accept"] = accept
    bearer = platform.bearer()
    return platform.http.request(
        method, f"{BASE_PATH}/calls/{call_id}/recording", headers={**headers, **bearer}, timeout=60
    )


def recording(platform: Platform, call_id: str, client_id: str = "shop") -> tuple[int, dict[str, str]]:
    answer = platform.http.get(f"{BASE_PATH}/calls/{call_id}/recording", headers=platform.bearer(client_id))
    if answer.status_code != 200:
        validate_error(answer.status_code, answer.json())
    return answer.status_code, answer.json()


def path_of(platform: Platform, name: str) -> Path:
    path = platform.folder / "recordings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def store(platform: Platform, name: str, content: bytes) -> str:
    path_of(platform, name).write_bytes(content)
    return name


def recorded(platform: Platform, samples: Samples) -> str:
    """The id of an ended call with this recording (8 kHz, mono)."""
    call_id = platform.created(recordingEnabled=True)
    name = f"{DAY}/{call_id}.wav"
    write_finished(path_of(platform, name), samples)
    platform.engine.end(call_id, recording_result=RecordingResult.SUCCESS, recording_path=name)
    return call_id


def stored_wav(platform: Platform, call_id: str) -> Path:
    return path_of(platform, f"{DAY}/{call_id}.wav")


def check_sound(content: bytes, seconds: float) -> None:
    """That it can be decoded, has 440 Hz in it and the right length."""
    samples, rate = soundfile.read(BytesIO(content), dtype="int16")
    assert rate == 8000
    assert abs(len(samples) / rate - seconds) < 0.2
    assert has_tone(samples[8000:16000], 440)


# --- the API's JSON


@pytest.mark.parametrize("size", [0, 1, 44, 200_000, 3 * 64 * 1024, 1_000_001])
def test_a_recording_is_served_whole(platform: Platform, size: int) -> None:
    content = os.urandom(size)
    call_id = platform.created(recordingEnabled=True)
    path = store(platform, f"{DAY}/{call_id}.wav", content)
    platform.engine.end(call_id, recording_result=RecordingResult.SUCCESS, recording_path=path)
    status, body = recording(platform, call_id)
    assert status == 200
    validate("RecordingResource", body)
    assert base64.b64decode(body["content"], validate=True) == content
    assert (body["callId"], body["contentType"]) == (call_id, "audio/wav")
    assert body["generatedAt"].endswith("Z")


def test_none_while_the_call_lives(platform: Platform) -> None:
    call_id = platform.created(recordingEnabled=True)
    assert recording(platform, call_id)[0] == 404
    platform.engine.connect(call_id)
    assert recording(platform, call_id)[0] == 404
    # Not even when its engine died and another one has saved the recording already.
    path = store(platform, f"{DAY}/{call_id}.wav", b"RIFF")
    assert platform.engine.run(platform.engine.calls.attach_recording(call_id, path))
    assert recording(platform, call_id)[0] == 404


@pytest.mark.parametrize("result", [None, RecordingResult.NO_RECORD, RecordingResult.FAIL])
def test_none_without_success(platform: Platform, result: RecordingResult | None) -> None:
    call_id = platform.created(recordingEnabled=result is not None)
    platform.engine.end(call_id, recording_result=result)
    status, body = recording(platform, call_id)
    assert (status, body["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    "path", ["gone.wav", "../issuer-key.json", "/etc/passwd", ".", "a/../../issuer-key.json"]
)
def test_no_file_but_a_recording_is_ever_served(platform: Platform, path: str) -> None:
    call_id = platform.created(recordingEnabled=True)
    platform.engine.end(call_id, recording_result=RecordingResult.SUCCESS, recording_path=path)
    assert recording(platform, call_id)[0] == 404


def test_a_link_that_leads_outside_is_not_followed(platform: Platform) -> None:
    name = store(platform, f"{DAY}/here.wav", b"x")
    link = platform.folder / "recordings" / DAY / "link.wav"
    link.symlink_to(Path("/etc/hostname"))
    call_id = platform.created(recordingEnabled=True)
    platform.engine.end(
        call_id,
        recording_result=RecordingResult.SUCCESS,
        recording_path=name.replace("here", "link"),
    )
    assert recording(platform, call_id)[0] == 404


def test_not_for_another_client(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 1.0))
    assert recording(platform, call_id, "rival")[0] == 404
    assert recording(platform, call_id)[0] == 200


def test_the_largest_wav_that_fits_is_sent_as_wav(platform: Platform) -> None:
    call_id = recorded(platform, np.zeros((LARGE - 2 - 44) // 2, np.int16))
    body = fetch(platform, call_id).json()
    assert body["contentType"] == "audio/wav"
    assert len(body["content"]) == BASE64_LIMIT
    validate("RecordingResource", body)


def test_what_would_be_too_long_as_wav_is_sent_encoded(platform: Platform) -> None:
    seconds = LARGE / 16000
    call_id = recorded(platform, sine(440, seconds))
    body = fetch(platform, call_id).json()
    validate("RecordingResource", body)
    assert body["contentType"] == "audio/ogg"
    content = base64.b64decode(body["content"], validate=True)
    check_sound(content, seconds)
    # It was made once, is as old as the recording, and is what `Accept: audio/ogg` gets, too.
    encoded = stored_wav(platform, call_id).with_suffix(".ogg")
    assert encoded.read_bytes() == content
    assert encoded.stat().st_mtime == stored_wav(platform, call_id).stat().st_mtime
    assert base64.b64decode(fetch(platform, call_id).json()["content"]) == content
    assert fetch(platform, call_id, "audio/ogg").content == content
    assert sorted(path.name for path in encoded.parent.glob(f"{call_id}*")) == [
        f"{call_id}.ogg",
        f"{call_id}.wav",
    ]


def test_where_the_folder_cannot_be_written_a_temporary_file_serves(platform: Platform) -> None:
    seconds = LARGE / 16000
    call_id = recorded(platform, sine(440, seconds))
    stored_wav(platform, call_id).with_suffix(".ogg.part").mkdir()
    content = fetch(platform, call_id).json()["content"]
    check_sound(base64.b64decode(content), seconds)
    assert not stored_wav(platform, call_id).with_suffix(".ogg").exists()
    assert fetch(platform, call_id).json()["content"] == content


def test_what_fits_in_no_way_is_not_acceptable_as_json(platform: Platform) -> None:
    """Days of talk: even the smallest encoding is too long. The file itself can be had."""
    call_id = recorded(platform, sine(440, LARGE / 16000))
    encoded = stored_wav(platform, call_id).with_suffix(".ogg")
    with encoded.open("wb") as file:
        file.truncate(LARGE)
    answer = fetch(platform, call_id)
    assert answer.status_code == 406
    validate_error(406, answer.json())
    assert "audio/wav" in answer.json()["message"]
    assert fetch(platform, call_id, "audio/wav", method="HEAD").status_code == 200


# --- the file itself


@pytest.mark.parametrize("media_type", ["audio/wav", "audio/x-wav"])
def test_the_wav_itself(platform: Platform, media_type: str) -> None:
    call_id = recorded(platform, sine(440, 3.0))
    answer = fetch(platform, call_id, media_type)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["vary"] == "Accept"
    assert answer.content == stored_wav(platform, call_id).read_bytes()


@pytest.mark.parametrize(
    ("media_type", "content_type"),
    [("audio/ogg", "audio/ogg"), ("audio/mpeg", "audio/mpeg"), ("audio/mp3", "audio/mp3")],
)
def test_it_is_encoded_for_whom_asks(platform: Platform, media_type: str, content_type: str) -> None:
    call_id = recorded(platform, sine(440, 3.0))
    answer = fetch(platform, call_id, media_type)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    check_sound(answer.content, 3.0)


def test_json_unless_asked_otherwise(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 0.1))
    for accept in ("*/*", "application/json", "", "application/json, audio/wav"):
        answer = fetch(platform, call_id, accept)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["vary"] == "Accept"


def test_an_accept_that_nothing_meets(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 0.1))
    answer = fetch(platform, call_id, "text/html, image/*")
    assert answer.status_code == 406
    validate_error(406, answer.json())
    # A call without recording has none of any type.
    assert fetch(platform, platform.created(), "text/html").status_code == 404


@pytest.mark.parametrize("accept", ["audio/wav", "audio/ogg", "audio/mpeg"])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-99", slice(0, 100)), ("bytes=100-", slice(100, None)), ("bytes=-50", slice(-50, None))],
)
def test_a_range_of_the_file(platform: Platform, accept: str, asked: str, expected: slice) -> None:
    """Of what was encoded, too: it is made once, so the parts fit together."""
    call_id = recorded(platform, sine(440, 1.0))
    whole = fetch(platform, call_id, accept).content
    assert accept != "audio/wav" or whole == stored_wav(platform, call_id).read_bytes()
    answer = fetch(platform, call_id, accept, Range=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (206, accept)
    assert answer.content == whole[expected]
    first, last, _ = (expected.indices(len(whole))[0], expected.indices(len(whole))[1] - 1, 1)
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"


def test_several_ranges(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 1.0))
    answer = fetch(platform, call_id, "audio/wav", Range="bytes=0-3,8-11")
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert re.findall(rb"\r\n\r\n(....)\r\n", answer.content) == [b"RIFF", b"WAVE"]


def test_a_range_of_a_file_that_did_not_change(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 1.0))
    tag = fetch(platform, call_id, "audio/wav").headers["etag"]
    again = {"Range": "bytes=4-7", "If-Range": tag}
    assert fetch(platform, call_id, "audio/wav", **again).status_code == 206
    again["If-Range"] = '"another"'
    answer = fetch(platform, call_id, "audio/wav", **again)
    assert (answer.status_code, len(answer.content)) == (200, 16044)


def test_a_range_beyond_the_end(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 1.0))
    answer = fetch(platform, call_id, "audio/wav", Range="bytes=16044-")
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */16044"
    body = answer.json()
    assert (body["status"], body["code"], set(body)) == (416, "OUT_OF_RANGE", {"status", "code", "message"})


@pytest.mark.parametrize("asked", ["seconds=0-5", "bytes", "bytes=", "bytes=x-y", "bytes=9-5"])
def test_a_range_that_means_nothing_is_ignored(platform: Platform, asked: str) -> None:
    call_id = recorded(platform, sine(440, 1.0))
    answer = fetch(platform, call_id, "audio/wav", Range=asked)
    assert (answer.status_code, len(answer.content)) == (200, 16044)


@pytest.mark.parametrize("accept", ["application/json", "audio/wav"])
def test_head_says_what_get_would(platform: Platform, accept: str) -> None:
    call_id = recorded(platform, sine(440, 1.0))
    got, head = fetch(platform, call_id, accept), fetch(platform, call_id, accept, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    differing = {"date", "x-correlator"}
    assert {k: v for k, v in head.headers.items() if k not in differing} == {
        k: v for k, v in got.headers.items() if k not in differing
    }


# --- processes of their own


def bearer(root: str) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": SECRET}
    token = httpx2.post(f"{root}/oauth2/token", data=form, trust_env=False).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def ended(engine: PlayedEngine, folder: Path) -> tuple[str, Path]:
    """The id of an ended call, and where its recording is to be."""
    call = engine.create(recording_enabled=True)
    path = folder / "recordings" / DAY / f"{call.id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{DAY}/{path.name}"
    engine.end(call.id, recording_result=RecordingResult.SUCCESS, recording_path=name)
    return call.id, path


@pytest.mark.parametrize("kind", ["audio/ogg", "audio/mpeg"])
def test_two_api_processes_encode_a_recording_once(
    redis_url: str, prefix: str, tmp_path: Path, engine: PlayedEngine, kind: str
) -> None:
    call_id, path = ended(engine, tmp_path)
    write_finished(path, sine(440, LARGE / 16000))
    config = write_config(tmp_path, redis_url, prefix, changes={"recording": {"large_format": kind}})
    apis = [ApiProcess(config), ApiProcess(config)]
    for api in apis:
        api.start()

    def get(api: ApiProcess) -> dict[str, str]:
        url = f"{api.root}{BASE_PATH}/calls/{call_id}/recording"
        answer = httpx2.get(url, headers=bearer(api.root), trust_env=False, timeout=60)
        body: dict[str, str] = answer.json()
        return body

    with ThreadPoolExecutor(6) as clients:
        bodies = list(clients.map(get, apis * 3))
    assert {body["contentType"] for body in bodies} == {kind}
    assert len({body["content"] for body in bodies}) == 1
    assert apis[0].log().count("recording_encoded") == 1  # both write to the same file
    assert len(list(path.parent.iterdir())) == 2
    for api in apis:
        assert api.terminate() == 0


def peak_memory(pid: int) -> int:
    """The most bytes a process has had in memory since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.mark.parametrize("accept", ["audio/wav", "application/json"])
@pytest.mark.parametrize("keys", [[], [str(pyrage.x25519.Identity.generate())]], ids=["plain", "encrypted"])
def test_a_large_recording_is_never_whole_in_memory(
    redis_url: str, prefix: str, tmp_path: Path, engine: PlayedEngine, accept: str, keys: list[str]
) -> None:
    """200 MB (of silence, sparse: it costs no disk); as JSON it is encoded first."""
    call_id, path = ended(engine, tmp_path)
    with wave.open(str(path), "wb") as writer:
        writer.setparams((2, 2, 16000, 50_000_000, "NONE", ""))
        writer.writeframes(b"")
    with path.open("r+b") as file:
        file.truncate(44 + 200_000_000)
        for offset, length in ((4, 36 + 200_000_000), (40, 200_000_000)):
            file.seek(offset)
            file.write(length.to_bytes(4, "little"))
    if keys:
        with path.open("rb") as plain, path.with_suffix(".sealed").open("wb") as sealed:
            FileVault([SecretStr(key) for key in keys]).seal(plain, sealed)
        path.with_suffix(".sealed").replace(path)
    changes = {"recording": {"root": str(tmp_path / "recordings"), "keys": keys}}
    api = ApiProcess(write_config(tmp_path, redis_url, prefix, changes=changes))
    api.start()
    headers = {**bearer(api.root), "Accept": accept}
    url = f"{api.root}{BASE_PATH}/calls/{call_id}/recording"
    with httpx2.Client(trust_env=False, timeout=60) as http:
        assert http.get(url, headers={**headers, "Accept": "text/html"}).status_code == 406
        forget_peak(api.pid)
        before = peak_memory(api.pid)
        with http.stream("GET", url, headers=headers) as answer:
            assert answer.status_code == 200
            received = sum(len(chunk) for chunk in answer.iter_bytes())
        assert received == int(answer.headers["content-length"])
        if accept == "audio/wav":
            assert received == 44 + 200_000_000
    assert peak_memory(api.pid) - before < 50_000_000
    assert api.terminate() == 0


def test_a_call_to_be_recorded_is_refused_when_no_engine_has_room_for_it(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    full_disk = PlayedEngine(redis_url, prefix, can_record=False)
    full_disk.start()
    api = ApiProcess(write_config(tmp_path, redis_url, prefix))
    api.start()
    headers = bearer(api.root)

    def post(*, recorded: bool) -> httpx2.Response:
        body = {
            "caller": {"number": new_number()},
            "callee": {"number": new_number()},
            "recordingEnabled": recorded,
        }
        return httpx2.post(f"{api.root}{BASE_PATH}/calls", json=body, headers=headers, trust_env=False)

    refused = post(recorded=True)
    assert (refused.status_code, refused.json()["code"]) == (422, "RECORDING_NOT_SUPPORTED")
    validate_error(422, refused.json())
    assert post(recorded=False).status_code == 201
    assert api.terminate() == 0
    full_disk.stop()


def audited(platform: Platform, call_id: str) -> list[AuditEntry]:
    async def read() -> list[AuditEntry]:
        async with connect(platform.redis_url) as redis:
            log = AuditLog(redis, Keys("platform"), retention_days=1)
            ever = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
            return [entry async for entry in log.between(*ever) if entry.subject == call_id]

    return platform.engine.run(read())


def test_each_download_is_noted_and_nothing_else(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 0.5))
    assert recording(platform, call_id, "rival")[0] == 404
    assert fetch(platform, call_id, "text/html").status_code == 406
    assert audited(platform, call_id) == []
    fetch(platform, call_id, **{"x-correlator": "who-asked"})
    fetch(platform, call_id, "audio/wav", Range="bytes=0-99")
    json_read, range_read = audited(platform, call_id)
    assert (json_read.action, json_read.actor, json_read.enterprise_id) == ("recording.read", "shop", "acme")
    assert (json_read.correlator, json_read.detail) == ("who-asked", "GET application/json")
    assert range_read.detail == "GET audio/wav bytes=0-99"
    assert json_read.at <= range_read.at


def test_the_audit_is_exported_by_command(platform: Platform) -> None:
    call_id = recorded(platform, sine(440, 0.5))
    fetch(platform, call_id)
    command = [sys.executable, "-m", "dialbridge", "audit", "export", "--config", str(platform.config)]
    period = ["--from", "2020-01-01", "--to", "2200-01-01"]
    done = subprocess.run([*command, *period], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = (json.loads(line) for line in done.stdout.splitlines() if call_id in line)
    assert (line["action"], line["actor"], line["subject"]) == ("recording.read", "shop", call_id)
    backwards = ["--from", "2200-01-01", "--to", "2020-01-01"]
    wrong = subprocess.run([*command, *backwards], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2
