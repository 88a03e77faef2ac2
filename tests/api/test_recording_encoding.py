"""Encoding takes its time: requests wait only so long, and the work goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from api.errors import UnavailableError
from api.recording_encoding import SPARES, RecordingEncoder
from config import RecordingSettings
from media.recordings import RecordingStore
from tests.media.wav_samples import sine, write_finished
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def encoder() -> AsyncIterator[RecordingEncoder]:
    encoder = RecordingEncoder(patience=0.01)
    yield encoder
    await encoder.close()


async def patiently(encoder: RecordingEncoder, wav: Path) -> tuple[Path, int]:
    """The file, and how often the answer was to try again."""
    refusals = 0
    async with asyncio.timeout(60):
        while True:
            try:
                return await encoder.encoded(wav, "audio/ogg"), refusals
            except UnavailableError as error:
                assert int(error.headers["Retry-After"]) > 0
                refusals += 1


async def test_a_request_that_waits_too_long_is_told_to_come_again(
    encoder: RecordingEncoder, tmp_path: Path
) -> None:
    wav = tmp_path / "c1.wav"
    write_finished(wav, np.tile(sine(440, 60), 20))
    target, refusals = await patiently(encoder, wav)
    assert refusals > 0
    assert target == tmp_path / "c1.ogg"
    assert await encoder.encoded(wav, "audio/ogg") == target


async def test_the_end_of_the_process_does_not_wait_for_the_encoding(tmp_path: Path) -> None:
    """Of hours of audio, with a request for the same file from another process in the queue."""
    wav = tmp_path / "c1.wav"
    write_finished(wav, np.tile(sine(440, 60), 240))
    encoders = [RecordingEncoder(patience=0.01) for _ in range(2)]
    for encoder in encoders:
        with pytest.raises(UnavailableError):
            await encoder.encoded(wav, "audio/ogg")
    async with asyncio.timeout(30):
        for encoder in reversed(encoders):
            await encoder.close()
    assert not (tmp_path / "c1.ogg").exists()
    assert (tmp_path / "c1.ogg.part").stat().st_size == 0


async def test_another_process_that_had_begun_it_finishes_it_for_both(
    encoder: RecordingEncoder, tmp_path: Path
) -> None:
    wav = tmp_path / "c1.wav"
    write_finished(wav, np.tile(sine(440, 60), 20))
    other = RecordingEncoder(patience=60)
    first, (second, _) = await asyncio.gather(other.encoded(wav, "audio/ogg"), patiently(encoder, wav))
    assert first == second == tmp_path / "c1.ogg"
    assert not (tmp_path / "c1.ogg.part").exists()
    await other.close()


async def test_what_is_erased_while_it_is_encoded_does_not_come_back(
    encoder: RecordingEncoder, tmp_path: Path
) -> None:
    wav = tmp_path / "2026-11-22" / "c1.wav"
    wav.parent.mkdir()
    write_finished(wav, np.tile(sine(440, 60), 60))
    with pytest.raises(UnavailableError):
        await encoder.encoded(wav, "audio/ogg")
    part = wav.with_name("c1.ogg.part")
    await asyncio.to_thread(wait_until, lambda: part.exists() and part.stat().st_size > 0)
    store = RecordingStore(RecordingSettings(root=tmp_path))
    assert await asyncio.to_thread(store.erase, "c1") == 2
    with pytest.raises(FileNotFoundError):
        await patiently(encoder, wav)
    assert list(wav.parent.iterdir()) == []


async def test_temporary_files_do_not_pile_up(encoder: RecordingEncoder, tmp_path: Path) -> None:
    files = []
    for number in range(SPARES + 3):
        wav = tmp_path / f"c{number}.wav"
        write_finished(wav, sine(440, 0.1))
        wav.with_suffix(".ogg.part").mkdir()  # as good as a folder that cannot be written
        files.append((await patiently(encoder, wav))[0])
    assert [file.exists() for file in files] == [False] * 3 + [True] * SPARES
    await encoder.close()
    assert not any(file.exists() for file in files)
