"""Recordings at rest with a key: encrypted, whole, readable from any place, and never lost on the way."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyrage
import pytest
from pydantic import SecretStr

from config import RecordingSettings
from media.file_vault import FileVault
from media.recordings import RecordingStore
from media.sealed_file import CHUNK, SealedFileError, is_sealed
from media.wav_files import RecordingError
from tests.media.killed_storing import ANSWERED, SPOKEN
from tests.media.test_abandoned_recordings import salvaged
from tests.media.wav_samples import left_by_dead_engine, sine, write_cut_short, write_finished

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
OLD, NEW = (str(pyrage.x25519.Identity.generate()) for _ in range(2))
PUBLIC = str(pyrage.x25519.Identity.from_str(NEW).to_public())

Stores = Callable[..., RecordingStore]


def vault(*keys: str) -> FileVault:
    return FileVault([SecretStr(key) for key in keys])


def sealed(folder: Path, content: bytes, *keys: str) -> Path:
    path = folder / "sealed"
    with path.open("wb") as file:
        vault(*keys).seal(io.BytesIO(content), file)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def stores(root: Path) -> Iterator[Stores]:
    """Makes stores on one root; keys in order, settings as keywords."""
    made: list[RecordingStore] = []

    def make(*keys: str, **settings: Any) -> RecordingStore:
        made.append(
            RecordingStore(RecordingSettings.model_validate({"root": root, "keys": keys, **settings}))
        )
        return made[-1]

    yield make
    for store in made:
        store.close()


def kept(store: RecordingStore, call_id: str = "c1", channels: Any = "mixed") -> Path:
    """The stored file of a recording of a tone."""
    for live in store.live_paths(call_id, channels):
        write_finished(live, sine(440, 1.0))
    relative = store.keep(call_id, AT)
    store.discard_live(call_id)
    return store.open_path(relative)


def frames(store: RecordingStore, path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    with store.vault.open(path) as file, wave.open(file, "rb") as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2").reshape(-1, reader.getnchannels())


# --- files


@pytest.mark.parametrize(
    "size", [0, 1, 44, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 16, 2 * CHUNK, 5 * CHUNK + 7]
)
def test_what_is_sealed_shows_nothing_and_opens_again(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = sealed(tmp_path, content, OLD)
    assert is_sealed(path)
    assert size < 16 or content[:16] not in path.read_bytes()
    with vault(OLD).open(path) as file:
        assert file.read() == content
    found = vault(OLD).stat(path)
    assert found.st_size == size
    assert found.st_mtime == int(path.stat().st_mtime)


def test_it_is_an_age_file_that_others_open_too(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"RIFF", OLD)
    assert pyrage.decrypt(path.read_bytes(), [pyrage.x25519.Identity.from_str(OLD)]) == b"RIFF"


def test_it_is_read_from_any_place(tmp_path: Path) -> None:
    content = os.urandom(5 * CHUNK + 7)
    with vault(OLD).open(sealed(tmp_path, content, OLD)) as file:
        for start in (0, 4 * CHUNK, 3, 3 * CHUNK - 1, 3 * CHUNK + 9, len(content) - 2, len(content), CHUNK):
            assert file.seek(start) == start
            assert file.read(70_000) == content[start : start + 70_000]
            assert file.tell() == min(start + 70_000, len(content))
        assert file.seek(-10, os.SEEK_END) == len(content) - 10
        assert file.read() == content[-10:]
        assert file.seek(len(content) + 100) == len(content) + 100
        assert file.read() == b""


def test_a_reader_that_goes_away_early_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with vault(OLD).open(sealed(tmp_path, bytes(20 * CHUNK), OLD)) as file:
        file.read(1)
    assert threading.active_count() == before


def test_keys_rotate(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"spoken", OLD)
    with vault(NEW, OLD).open(path) as file:
        assert file.read() == b"spoken"
    assert not vault(NEW, OLD).is_sealed_by_first(path)
    assert vault(OLD, NEW).is_sealed_by_first(path)
    path = sealed(tmp_path, b"spoken", NEW, OLD)
    for keys in ([OLD], [], [PUBLIC]):
        with pytest.raises(SealedFileError, match="No matching keys"):
            vault(*keys).open(path)


def test_the_public_half_encrypts_only(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"spoken", PUBLIC)
    with vault(OLD, NEW).open(path) as file:
        assert file.read() == b"spoken"
    with pytest.raises(SealedFileError, match="No matching keys"):
        vault(PUBLIC).open(path)


def test_what_was_changed_or_cut_off_is_not_taken_for_the_recording(tmp_path: Path) -> None:
    path = sealed(tmp_path, bytes(3 * CHUNK), OLD)
    good = path.read_bytes()
    payload = len(good) - 3 * (CHUNK + 16)
    # A flipped bit; the last chunk missing whole; two chunks in each other's place.
    flipped = good[:-5] + bytes([good[-5] ^ 1]) + good[-4:]
    shorter = good[: payload + 2 * (CHUNK + 16)]
    first, second = (good[payload + n * (CHUNK + 16) :][: CHUNK + 16] for n in range(2))
    swapped = good[:payload] + second + first + good[payload + 2 * (CHUNK + 16) :]
    for bad in (flipped, shorter, swapped, good[:100]):
        path.write_bytes(bad)
        with pytest.raises(SealedFileError), vault(OLD).open(path) as file:
            file.read()


def test_others_have_their_turn_meanwhile(tmp_path: Path) -> None:
    """The PJ thread, while a long recording is encrypted: 200 MB (sparse: they cost no disk)."""
    long = tmp_path / "long"
    with long.open("wb") as file:
        file.truncate(200_000_000)

    def seal() -> None:
        with long.open("rb") as source, Path(os.devnull).open("wb") as target:
            vault(OLD).seal(source, target)

    work = threading.Thread(target=seal)
    work.start()
    turns = 0
    while work.is_alive():
        work.join(0.001)
        turns += 1
    assert turns > 10


# --- recordings


@pytest.mark.parametrize("channels", ["mixed", "dual"])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_recording_is_stored_encrypted_and_nothing_plain_is_left(
    stores: Stores, root: Path, channels: Any, rate: int
) -> None:
    store = stores(OLD, sample_rate=rate)
    path = kept(store, channels=channels)
    assert path == (root / "2026-03-04" / "c1.wav").resolve()
    assert is_sealed(path)
    assert frames(store, path).shape == (rate, len(store.live_paths("c1", channels)))
    store.close()
    assert [file for file in root.rglob("*") if file.is_file()] == [root / "2026-03-04" / "c1.wav"]


def test_its_date_is_that_of_its_last_sample(stores: Stores) -> None:
    """The retention goes by it."""
    store = stores(OLD)
    (live,) = store.live_paths("c1", "mixed")
    write_finished(live, sine(440, 0.1))
    os.utime(live, (1_000_000, 1_000_000))
    assert store.open_path(store.keep("c1", AT)).stat().st_mtime == 1_000_000
    store.discard_live("c1")


def test_a_plain_recording_stays_readable_with_a_key(stores: Stores) -> None:
    path = kept(stores())
    with stores(OLD).vault.open(path) as file:
        assert file.read() == path.read_bytes()
    assert stores(OLD).vault.stat(path) == path.stat()


def test_what_is_not_whole_is_set_aside_encrypted(stores: Stores, root: Path) -> None:
    store = stores(OLD)
    (live,) = store.live_paths("c1", "mixed")
    write_cut_short(live, sine(440, 0.5))
    with pytest.raises(RecordingError):
        store.keep("c1", AT)
    (aside,) = (root / "2026-03-04").iterdir()
    assert aside.name == "c1.incomplete.wav"
    assert is_sealed(aside)
    np.testing.assert_array_equal(frames(store, aside)[:, 0], sine(440, 0.5))
    assert not live.exists()


def test_the_recording_of_a_dead_engine_is_stored_encrypted(stores: Stores, root: Path) -> None:
    (live,) = left_by_dead_engine(root, "c1")
    write_cut_short(live, sine(440, 0.5))
    store = stores(OLD)
    (relative,) = salvaged(store).values()
    assert relative is not None
    assert is_sealed(root / relative)
    np.testing.assert_array_equal(frames(store, root / relative)[:, 0], sine(440, 0.5))


@pytest.mark.parametrize("channels", ["mixed", "dual"])
@pytest.mark.parametrize("keys", [[], [OLD]])
def test_an_engine_killed_at_any_step_of_storing_loses_nothing(
    tmp_path: Path, channels: str, keys: list[str]
) -> None:
    command = [sys.executable, "-m", "tests.media.killed_storing", str(tmp_path), channels, *keys]
    subprocess.run(command, check=True)
    roots = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(roots) > 8
    expected = [SPOKEN, ANSWERED][: 1 if channels == "mixed" else 2]
    for root in roots:
        store = RecordingStore(RecordingSettings.model_validate({"root": root, "keys": keys}))
        salvaged(store)
        (left,) = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"]
        assert left.name == "c1.wav", root
        assert is_sealed(left) == bool(keys), root
        found = frames(store, left)
        for channel, samples in enumerate(expected):
            np.testing.assert_array_equal(found[: len(samples), channel], samples)


# --- rekey


def test_rekey_encrypts_all_with_the_first_key(stores: Stores, root: Path) -> None:
    plain, old, new = kept(stores(), "c1"), kept(stores(OLD), "c2"), kept(stores(NEW), "c3")
    (aside := plain.with_name("c4.incomplete.wav")).write_bytes(plain.read_bytes())
    os.utime(old, (1_000_000, 1_000_000))
    untouched = new.stat()
    store = stores(NEW, OLD)
    day = root / "2026-03-04"
    assert dict(store.rekey()) == {
        str(path.relative_to(root.resolve())): None for path in (plain, old, aside)
    }
    assert dict(store.rekey()) == {}
    assert new.stat() == untouched
    assert old.stat().st_mtime == 1_000_000
    for path in day.iterdir():
        assert is_sealed(path)
        np.testing.assert_array_equal(frames(stores(NEW), path)[:, 0], sine(440, 1.0))


def test_rekey_says_what_it_cannot_read_and_leaves_it(stores: Stores) -> None:
    lost, old = kept(stores(OLD), "c1"), kept(stores(), "c2")
    before = lost.read_bytes()
    problems = dict(stores(NEW).rekey())
    assert isinstance(problems["2026-03-04/c1.wav"], SealedFileError)
    assert problems["2026-03-04/c2.wav"] is None
    assert lost.read_bytes() == before
    assert is_sealed(old)


def rekeyed(folder: Path, root: Path, *keys: str) -> subprocess.CompletedProcess[str]:
    config = folder / "dialbridge.toml"
    config.write_text(f"[recording]\nroot = '{root}'\nkeys = {list(keys)}\n")
    command = [sys.executable, "-m", "dialbridge", "recordings", "rekey", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_rekey_is_a_command(stores: Stores, root: Path, tmp_path: Path) -> None:
    kept(stores(), "c1")
    lost = kept(stores(OLD), "c2")
    answer = rekeyed(tmp_path, root, NEW)
    assert answer.returncode == 1
    assert "2026-03-04/c2.wav: c2.wav: No matching keys" in answer.stderr
    assert "1 files encrypted anew" in answer.stderr
    lost.unlink()
    again = rekeyed(tmp_path, root, NEW)
    assert (again.returncode, again.stderr) == (0, "0 files encrypted anew\n")
    for useless in ([], [PUBLIC, NEW]):
        refused = rekeyed(tmp_path, root, *useless)
        assert refused.returncode == 1
        assert "recording.keys" in refused.stderr
