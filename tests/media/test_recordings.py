"""Only whole recordings are stored, and only stored ones are served."""

from __future__ import annotations

import wave
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media.recordings import RecordingError, RecordingStore

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def record(path: Path, frames: int = 800) -> bytes:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(b"\x01\x02" * frames)
    return path.read_bytes()


@pytest.mark.parametrize("frames", [0, 800])
def test_a_finished_recording_is_kept_under_its_date(tmp_path: Path, frames: int) -> None:
    store = RecordingStore(tmp_path / "root")
    content = record(store.live_path("c1"), frames)
    relative = store.keep("c1", AT)
    assert relative == "2026-03-04/c1.wav"
    assert store.open_path(relative).read_bytes() == content
    assert not store.live_path("c1").exists()


def test_a_header_that_was_not_completed_is_refused(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path)
    live = store.live_path("c1")
    content = bytearray(record(live))
    content[40:44] = bytes(4)
    live.write_bytes(content)
    with pytest.raises(RecordingError):
        store.keep("c1", AT)
    assert live.exists()


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no audio at all" * 10])
def test_what_is_no_wav_file_is_refused(tmp_path: Path, content: bytes) -> None:
    store = RecordingStore(tmp_path)
    store.live_path("c1").write_bytes(content)
    with pytest.raises(RecordingError):
        store.keep("c1", AT)


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd", "2026-03-04/../../secret.wav"])
def test_a_path_outside_the_root_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"x")
    store = RecordingStore(tmp_path / "root")
    store.live_path("c1")
    with pytest.raises(ValueError, match="outside"):
        store.open_path(path)


def test_a_recording_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RecordingStore(tmp_path).open_path("2026-03-04/c1.wav")
