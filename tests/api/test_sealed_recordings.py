"""GET /calls/{callId}/recording where recordings are encrypted at rest."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx2
import pyrage
import pytest
from pydantic import SecretStr

from media.file_vault import FileVault
from media.sealed_file import is_sealed
from tests.api.camara_schemas import validate, validate_error
from tests.api.configuration import write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine
from tests.api.processes import ApiProcess
from tests.api.test_recordings import bearer, check_sound, ended
from tests.media.wav_samples import sine, write_finished

OLD, NEW = (str(pyrage.x25519.Identity.generate()) for _ in range(2))


class Sealed:
    """A recording encrypted with the old key, and an api that has some keys."""

    def __init__(self, engine: PlayedEngine, folder: Path) -> None:
        self.call_id, self.path = ended(engine, folder)
        write_finished(self.path, sine(440, 3.0))
        self.wav = self.path.read_bytes()
        with self.path.open("wb") as file:
            FileVault([SecretStr(OLD)]).seal(BytesIO(self.wav), file)
        self.api: ApiProcess | None = None

    def start(self, redis_url: str, prefix: str, folder: Path, *keys: str) -> None:
        changes = {"recording": {"root": str(folder / "recordings"), "keys": list(keys)}}
        self.api = ApiProcess(write_config(folder, redis_url, prefix, changes=changes))
        self.api.start()

    def get(self, accept: str, method: str = "GET", **headers: str) -> httpx2.Response:
        assert self.api is not None
        return httpx2.request(
            method,
            f"{self.api.root}{BASE_PATH}/calls/{self.call_id}/recording",
            headers={**bearer(self.api.root), "Accept": accept, **headers},
            trust_env=False,
            timeout=30,
        )


@pytest.fixture
def sealed(engine: PlayedEngine, tmp_path: Path) -> Iterator[Sealed]:
    sealed = Sealed(engine, tmp_path)
    yield sealed
    if sealed.api is not None:
        sealed.api.stop()


def test_it_is_served_as_if_it_were_plain(
    sealed: Sealed, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """With the old key beside the new one; what is encoded from it is kept encrypted, too."""
    sealed.start(redis_url, prefix, tmp_path, NEW, OLD)
    body = sealed.get("application/json").json()
    validate("RecordingResource", body)
    assert base64.b64decode(body["content"], validate=True) == sealed.wav

    whole = sealed.get("audio/wav")
    assert (whole.status_code, whole.content) == (200, sealed.wav)
    head = sealed.get("audio/wav", "HEAD")
    assert int(head.headers["content-length"]) == len(sealed.wav)
    for asked, expected in {
        "bytes=0-99": sealed.wav[:100],
        "bytes=30000-": sealed.wav[30000:],
        "bytes=-50": sealed.wav[-50:],
    }.items():
        part = sealed.get("audio/wav", Range=asked)
        assert (part.status_code, part.content) == (206, expected)
    several = sealed.get("audio/wav", Range="bytes=8-11,0-3,40000-40003")
    assert re.findall(rb"\r\n\r\n(....)\r\n", several.content, re.DOTALL) == [
        b"RIFF",
        b"WAVE",
        sealed.wav[40000:40004],
    ]
    beyond = sealed.get("audio/wav", Range=f"bytes={len(sealed.wav)}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(sealed.wav)}")

    for media_type, suffix in (("audio/ogg", ".ogg"), ("audio/mpeg", ".mp3")):
        answer = sealed.get(media_type)
        check_sound(answer.content, 3.0)
        kept = sealed.path.with_suffix(suffix)
        assert is_sealed(kept)
        assert FileVault([SecretStr(NEW)]).open(kept).read() == answer.content
        assert sealed.get(media_type, Range="bytes=10-19").content == answer.content[10:20]


@pytest.mark.parametrize("keys", [(), (NEW,), (str(pyrage.x25519.Identity.from_str(OLD).to_public()),)])
@pytest.mark.parametrize("accept", ["application/json", "audio/wav", "audio/ogg"])
def test_without_its_key_the_answer_is_no_garbage(
    sealed: Sealed, redis_url: str, prefix: str, tmp_path: Path, keys: tuple[str, ...], accept: str
) -> None:
    sealed.start(redis_url, prefix, tmp_path, *keys)
    assert sealed.api is not None
    answer = sealed.get(accept)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    validate_error(503, answer.json())
    assert "recording_cannot_be_decrypted" in sealed.api.log()
    assert sealed.call_id in sealed.api.log()


def test_what_was_changed_is_not_served_to_its_end(
    sealed: Sealed, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """The client sees a transfer that breaks off, not one that is complete."""
    write_finished(sealed.path, sine(440, 30.0))
    plain = sealed.path.read_bytes()
    with sealed.path.open("wb") as file:
        FileVault([SecretStr(OLD)]).seal(BytesIO(plain), file)
    content = sealed.path.read_bytes()
    sealed.path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    sealed.start(redis_url, prefix, tmp_path, OLD)
    for accept in ("audio/wav", "application/json"):
        with pytest.raises(httpx2.RemoteProtocolError):
            sealed.get(accept)
    assert sealed.get("audio/wav", Range="bytes=0-3").content == b"RIFF"
