"""GET /calls/{callId}/recording."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from state.call import RecordingResult
from tests.api.camara_schemas import validate, validate_error
from tests.api.conftest import BASE_PATH, Platform


def recording(platform: Platform, call_id: str, client_id: str = "shop") -> tuple[int, dict[str, str]]:
    answer = platform.http.get(f"{BASE_PATH}/calls/{call_id}/recording", headers=platform.bearer(client_id))
    if answer.status_code != 200:
        validate_error(answer.status_code, answer.json())
    return answer.status_code, answer.json()


def store(platform: Platform, name: str, content: bytes) -> str:
    path = platform.folder / "recordings" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name


@pytest.mark.parametrize("size", [0, 1, 44, 200_000, 3 * 64 * 1024, 1_000_001])
def test_a_recording_is_served_whole(platform: Platform, size: int) -> None:
    content = os.urandom(size)
    call_id = platform.created(recordingEnabled=True)
    path = store(platform, f"2026-11-22/{call_id}.wav", content)
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
    name = store(platform, "2026-11-22/here.wav", b"x")
    link = platform.folder / "recordings" / "2026-11-22" / "link.wav"
    link.symlink_to(Path("/etc/hostname"))
    call_id = platform.created(recordingEnabled=True)
    platform.engine.end(
        call_id,
        recording_result=RecordingResult.SUCCESS,
        recording_path=name.replace("here", "link"),
    )
    assert recording(platform, call_id)[0] == 404


def test_not_for_another_client(platform: Platform) -> None:
    call_id = platform.created(recordingEnabled=True)
    path = store(platform, f"2026-11-22/{call_id}.wav", b"RIFF")
    platform.engine.end(call_id, recording_result=RecordingResult.SUCCESS, recording_path=path)
    assert recording(platform, call_id, "rival")[0] == 404
    assert recording(platform, call_id)[0] == 200


def test_a_call_to_be_recorded_is_refused_when_no_engine_has_room_for_it(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    full_disk = PlayedEngine(redis_url, prefix, can_record=False)
    full_disk.start()
    api = ApiProcess(write_config(tmp_path, redis_url, prefix))
    api.start()
