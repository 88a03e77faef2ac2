"""Only whole recordings are stored, and only stored ones are served."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyrage
import pytest
from pydantic import SecretStr

from config import RecordingSettings
from media.file_vault import FileVault
from media.recordings import RecordingStore
from media.wav_files import HEADER, RecordingError
from tests.media.wav_samples import read, sine, write_cut_short, write_finished
from tests.support.audio import has_tone, lacks_tone

KEY = str(pyrage.x25519.Identity.generate())
AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)

Stores = Callable[..., RecordingStore]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Makes stores on one root; settings as keywords."""
    made: list[RecordingStore] = []

    def make(**settings: Any) -> RecordingStore:
        made.append(RecordingStore(RecordingSettings.model_validate({"root": tmp_path / "root", **settings})))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_a_finished_recording_is_kept_under_its_date(stores: Stores, seconds: float) -> None:
    store = stores()
    (live,) = store.live_paths("c1", "mixed")
    write_finished(live, sine(440, seconds))
    content = live.read_bytes()
    relative = store.keep("c1", AT)
    assert relative == "2026-03-04/c1.wav"
    stored = store.open_path(relative)
    assert stored.read_bytes() == content
    assert [path.name for path in stored.parent.iterdir()] == ["c1.wav"]


def test_its_live_file_stays_until_redis_knows_the_path(stores: Stores) -> None:
    store = stores()
    (live,) = store.live_paths("c1", "mixed")
    write_finished(live, sine(440, 0.1))
    first = store.keep("c1", AT)
    assert live.exists()
    # The process died before Redis knew: it is kept once more, and that changes nothing.
    assert store.keep("c1", AT) == first
    store.discard_live("c1")
    assert not live.exists()
    assert [path.name for path in store.open_path(first).parent.iterdir()] == ["c1.wav"]


def test_a_dual_recording_has_the_caller_left_and_the_callee_right(stores: Stores) -> None:
    store = stores()
    caller, callee = store.live_paths("c1", "dual")
    spoken, answered = sine(440, 1.0), sine(1000, 0.6)
    write_finished(caller, spoken)
    write_finished(callee, answered)
    rate, frames = read(store.open_path(store.keep("c1", AT)))
    assert rate == 8000
    np.testing.assert_array_equal(frames[:, 0], spoken)
    np.testing.assert_array_equal(frames[: len(answered), 1], answered)
    assert not frames[len(answered) :, 1].any()
    store.discard_live("c1")
    assert not caller.exists()
    assert not callee.exists()


@pytest.mark.parametrize(("recorded", "stored"), [(16000, 8000), (8000, 16000)])
@pytest.mark.parametrize("channels", ["mixed", "dual"])
def test_it_is_stored_at_the_rate_asked_for(
    stores: Stores, channels: Any, recorded: int, stored: int
) -> None:
    store = stores(sample_rate=stored)
    tones = (440, 1000)
    lives = store.live_paths("c1", channels)
    for live, tone in zip(lives, tones, strict=False):
        write_finished(live, sine(tone, 30.0, recorded), recorded)  # more than one block
    rate, frames = read(store.open_path(store.keep("c1", AT)))
    assert (rate, frames.shape) == (stored, (30 * stored, len(lives)))
    for channel, tone in zip(frames.T, tones, strict=False):
        expected = sine(tone, 30.0, stored)
        middle = slice(stored, -stored)
        # The same wave at the same time, but for the resampler's rounding: -40 dB of a tone of 8000.
        assert np.abs(channel[middle].astype(int) - expected[middle]).max() < 80


def test_what_the_lower_rate_cannot_hold_does_not_become_another_tone(stores: Stores) -> None:
    store = stores(sample_rate=8000)
    (live,) = store.live_paths("c1", "mixed")
    write_finished(live, sine(440, 2.0, 16000) + sine(5000, 2.0, 16000), 16000)
    _, frames = read(store.open_path(store.keep("c1", AT)))
    assert has_tone(frames[:, 0], 440)
    assert lacks_tone(frames[:, 0], 3000)


MEASURED_KEEP = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from config import RecordingSettings
from media.recordings import RecordingStore
settings = {"root": sys.argv[1], "sample_rate": 8000, "keys": sys.argv[4:]}
store = RecordingStore(RecordingSettings.model_validate(settings))
for live in store.live_paths("c1", "dual"):
    length = int(sys.argv[2])
    with live.open("wb") as file:
        file.write(bytes.fromhex(sys.argv[3]))
        file.truncate(44 + length)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(store.keep("c1", datetime.now(UTC)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("keys", [[], [KEY]])
def test_a_long_recording_is_never_whole_in_memory(root: Path, keys: list[str]) -> None:
    """Two files of an hour at 16 kHz, 230 MB together (sparse: they cost no disk)."""
    length = 3600 * 16000 * 2
    header = HEADER.pack(
        *(b"RIFF", 36 + length, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", length)
    )
    command = [sys.executable, "-c", MEASURED_KEEP, str(root), str(length), header.hex(), *keys]
    path, megabytes = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    vault = FileVault([SecretStr(key) for key in keys])
    assert vault.stat(root / path).st_size == 44 + length
    assert int(megabytes) < 50


def test_a_header_that_was_not_finished_is_refused(stores: Stores, root: Path) -> None:
    store = stores()
    (live,) = store.live_paths("c1", "mixed")
    spoken = sine(440, 0.1)
    write_cut_short(live, spoken)
    with pytest.raises(RecordingError):
        store.keep("c1", AT)
    # What there is of it is left to the operator, playable, under a name that is not the recording's.
    assert [path.name for path in (root / "2026-03-04").iterdir()] == ["c1.incomplete.wav"]
    np.testing.assert_array_equal(read(root / "2026-03-04" / "c1.incomplete.wav")[1][:, 0], spoken)
    assert not live.exists()


def test_a_dual_recording_needs_both_sides(stores: Stores, root: Path) -> None:
    store = stores()
    caller, callee = store.live_paths("c1", "dual")
    write_finished(caller, sine(440, 0.1))
    write_cut_short(callee, sine(440, 0.1))
    with pytest.raises(RecordingError):
        store.keep("c1", AT)
    assert sorted(path.name for path in (root / "2026-03-04").iterdir()) == [
        "c1.callee.incomplete.wav",
        "c1.caller.incomplete.wav",
    ]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no audio at all" * 10])
def test_what_is_no_wav_file_is_refused_and_removed(stores: Stores, root: Path, content: bytes) -> None:
    store = stores()
    (live,) = store.live_paths("c1", "mixed")
    live.write_bytes(content)
    with pytest.raises(RecordingError):
        store.keep("c1", AT)
    assert not list(root.rglob("*.wav"))


def test_a_call_without_a_recorder_has_no_recording(stores: Stores) -> None:
    store = stores()
    with pytest.raises(RecordingError):
        store.keep("c1", AT)
    store.live_paths("c1", "mixed")
    with pytest.raises(OSError, match="No such file"):
        store.keep("c1", AT)


@pytest.mark.parametrize(("channels", "keys"), [("dual", ()), ("dual", (KEY,)), ("mixed", (KEY,))], ids=str)
def test_a_file_that_cannot_be_stored_stays_for_later(
    stores: Stores, root: Path, channels: Any, keys: tuple[str, ...]
) -> None:
    """As on a disk with no room for the second copy that a dual or an encrypted recording needs."""
    store = stores(keys=keys)
    for live in store.live_paths("c1", channels):
        write_finished(live, sine(440, 10.0))
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.keep("c1", AT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert not list((root / "2026-03-04").iterdir())
    assert store.keep("c1", AT) == "2026-03-04/c1.wav"
    store.discard_live("c1")


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd", "2026-03-04/../../secret.wav"])
def test_a_path_outside_the_root_is_refused(stores: Stores, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"x")
    store = stores()
    store.live_paths("c1", "mixed")
    with pytest.raises(ValueError, match="outside"):
        store.open_path(path)


def test_a_recording_that_is_gone(stores: Stores) -> None:
    with pytest.raises(FileNotFoundError):
        stores().open_path("2026-03-04/c1.wav")


# --- room


def test_there_is_room_above_the_floor(stores: Stores, root: Path) -> None:
    assert stores(free_space_floor_mb=0).has_room()
    assert root.is_dir()
    assert not stores(free_space_floor_mb=10**9).has_room()


def test_there_is_no_room_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert not RecordingStore(RecordingSettings(root=tmp_path / "file" / "root")).has_room()


# --- retention

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)


def stored(root: Path, name: str, days_old: float) -> Path:
    at = NOW - timedelta(days=days_old)
    path = root / at.date().isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (at.timestamp(), at.timestamp()))
    return path


def test_what_is_older_than_the_retention_is_deleted_with_its_folder(stores: Stores, root: Path) -> None:
    old = [stored(root, name, 7.1) for name in ("a.wav", "a.ogg", "b.incomplete.wav", "c.part")]
    young = [stored(root, "d.wav", 6.9), stored(root, "e.wav", 0)]
    assert stores(retention_days=7).delete_expired(NOW) == 4
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in young)
    assert sorted(path.name for path in root.iterdir()) == ["2026-06-13", "2026-06-20"]


def test_a_folder_goes_when_the_last_of_its_recordings_does(stores: Stores, root: Path) -> None:
    stored(root, "morning.wav", 7.4)
    evening = stored(root, "evening.wav", 6.9)
    assert evening.parent == stored(root, "noon.wav", 7.0).parent
    store = stores(retention_days=7)
    assert store.delete_expired(NOW) == 1
    assert store.delete_expired(NOW + timedelta(days=1)) == 2
    assert not evening.parent.exists()


def test_an_enterprises_own_retention_is_that_of_its_recordings(stores: Stores, root: Path) -> None:
    store = stores(retention_days=7)
    paths = {}
    for call_id, days in (("default", None), ("short", 2), ("long", 90), ("for-ever", 0)):
        (live,) = store.live_paths(call_id, "mixed")
        write_finished(live, sine(440, 0.1))
        os.utime(live, (AT.timestamp(), AT.timestamp()))
        paths[call_id] = store.open_path(store.keep(call_id, AT, days))
        store.discard_live(call_id)
    for age, left in (
        (1.9, {"default", "short", "long", "for-ever"}),
        (2.1, {"default", "long", "for-ever"}),
        (7.1, {"long", "for-ever"}),
        (90.1, {"for-ever"}),
        (9000, {"for-ever"}),
    ):
        stores(retention_days=7).delete_expired(AT + timedelta(days=age))
        assert {call_id for call_id, path in paths.items() if path.exists()} == left
    # Nor is it deleted where the platform has no retention, but one that has its own is.
    (live,) = store.live_paths("short", "mixed")
    write_finished(live, sine(440, 0.1))
    os.utime(live, (AT.timestamp(), AT.timestamp()))
    again = store.open_path(store.keep("short", AT, 2))
    store.discard_live("short")
    assert stores(retention_days=0).delete_expired(AT + timedelta(days=3)) == 1
    assert not again.exists()
    assert [path.name for path in root.iterdir() if path.name[0] == "2"] == ["2026-03-04.0d"]


def test_without_a_retention_nothing_is_deleted(stores: Stores, root: Path) -> None:
    ancient = stored(root, "a.wav", 10_000)
    assert stores(retention_days=0).delete_expired(NOW) == 0
    assert ancient.exists()


def test_nothing_but_recordings_is_deleted(stores: Stores, root: Path) -> None:
    store = stores(retention_days=1)
    assert store.delete_expired(NOW) == 0  # not even a root yet
    (live,) = store.live_paths("c1", "mixed")
    foreign = root / "prompts" / "hello.wav"
    foreign.parent.mkdir()
    folder = root / "2020-01-01" / "a-folder"
    folder.mkdir(parents=True)
    for path in (live, foreign, root / "notes.txt"):
        path.write_bytes(b"x")
    for path in (live, foreign, root / "notes.txt", folder):
        os.utime(path, (0, 0))
    assert store.delete_expired(NOW) == 0
    assert all(path.exists() for path in (live, foreign, folder, root / "notes.txt"))
    live.unlink()
