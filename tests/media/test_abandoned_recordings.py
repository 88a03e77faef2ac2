"""What an engine that died was recording is repaired and stored, by one of those that look for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from config import RecordingSettings
from media.live_recordings import LIVE_FOLDER
from media.recordings import RecordingStore
from media.wav_files import RecordingError, check_finished, repair
from tests.media.wav_samples import (
    left_by_dead_engine,
    read,
    sine,
    write_cut_short,
    write_finished,
)

DAY = datetime(2026, 3, 4, 23, 59, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Iterator[RecordingStore]:
    """Of the engine that looks."""
    store = RecordingStore(RecordingSettings(root=root))
    yield store
    store.close()


def salvaged(store: RecordingStore) -> dict[str, str | None]:
    """All that can be saved, as the engine's link does it."""
    paths: dict[str, str | None] = {}
    for folder in store.abandoned():
        for call_id in folder.call_ids():
            paths[call_id] = store.salvage(folder, call_id)
            folder.discard(call_id)
        folder.close()
    return paths


@pytest.mark.parametrize("odd", [b"", b"\x01"])
def test_a_file_cut_short_is_repaired_from_its_size(tmp_path: Path, odd: bytes) -> None:
    path = tmp_path / "cut.wav"
    spoken = sine(440, 0.5)
    write_cut_short(path, spoken, odd=odd)
    with pytest.raises(RecordingError):
        check_finished(path)
    repair(path)
    assert check_finished(path) == 8000
    np.testing.assert_array_equal(read(path)[1][:, 0], spoken)


def test_a_finished_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "finished.wav"
    write_finished(path, sine(440, 0.5))
    before = path.read_bytes()
    repair(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 100, b"RIFF" + b"\0" * 100])
def test_what_holds_no_sound_cannot_be_repaired(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(RecordingError):
        repair(path)


def test_a_header_without_samples_holds_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    write_cut_short(path, sine(440, 0))
    with pytest.raises(RecordingError):
        repair(path)


def test_the_recordings_of_a_dead_engine_are_stored_by_the_date_of_their_last_sample(
    root: Path, store: RecordingStore
) -> None:
    mixed = left_by_dead_engine(root, "c1", "c2")
    caller, callee = left_by_dead_engine(root, "c3", channels="dual")
    spoken = sine(440, 0.5)
    for path in (*mixed, caller, callee):
        write_cut_short(path, spoken)
    for path in (mixed[0], caller, callee):
        os.utime(path, (DAY.timestamp(), DAY.timestamp()))

    paths = salvaged(store)
    assert set(paths) == {"c1", "c2", "c3"}
    assert (paths["c1"], paths["c3"]) == ("2026-03-04/c1.wav", "2026-03-04/c3.wav")
    np.testing.assert_array_equal(read(root / "2026-03-04/c1.wav")[1][:, 0], spoken)
    both = read(root / "2026-03-04/c3.wav")[1]
    assert both.shape == (4000, 2)
    np.testing.assert_array_equal(both[:, 0], both[:, 1])
    # Nothing is left of the dead engine, not even its folder, so nothing is found a second time.
    assert not list((root / LIVE_FOLDER).iterdir())
    assert salvaged(store) == {}


def test_a_call_of_which_nothing_was_written_is_dropped(root: Path, store: RecordingStore) -> None:
    empty, headless = left_by_dead_engine(root, "c1", "c2")
    one_side, _ = left_by_dead_engine(root, "c3", channels="dual")
    empty.write_bytes(b"")
    headless.write_bytes(b"RIFF")
    write_cut_short(one_side, sine(440, 0.5))
    assert salvaged(store) == {"c1": None, "c2": None, "c3": None}
    assert not list((root / LIVE_FOLDER).iterdir())


def test_a_living_engine_keeps_its_recordings(root: Path, store: RecordingStore) -> None:
    talking = RecordingStore(RecordingSettings(root=root))
    (live,) = talking.live_paths("c1", "mixed")
    write_cut_short(live, sine(440, 0.5))
    before = live.read_bytes()
    own = store.live_paths("c2", "mixed")[0]
    write_cut_short(own, sine(440, 0.5))
    assert salvaged(store) == {}
    assert live.read_bytes() == before
    for path in (live, own):
        path.unlink()
    talking.close()


def test_two_engines_that_start_at_once_share_the_work_without_meeting(root: Path) -> None:
    for number in range(8):
        (path,) = left_by_dead_engine(root, f"c{number}")
        write_cut_short(path, sine(440, 0.1))
    first, second = (RecordingStore(RecordingSettings(root=root)).abandoned() for _ in range(2))
    taken = [next(first), next(second), next(first), next(second)]
    assert len({folder.path for folder in taken}) == 4
    rest = [*first, *second]
    assert len({folder.path for folder in (*taken, *rest)}) == len(taken) + len(rest) == 8
    for folder in (*taken, *rest):
        folder.close()


def test_what_cannot_be_stored_now_waits_for_the_next_look(root: Path, store: RecordingStore) -> None:
    (path,) = left_by_dead_engine(root, "c1")
    write_cut_short(path, sine(440, 0.1))
    day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    (root / day).write_bytes(b"in the way")
    (folder,) = store.abandoned()
    with pytest.raises(OSError, match="Not a directory"):
        store.salvage(folder, "c1")
    folder.close()
    (root / day).unlink()
    assert salvaged(store) == {"c1": f"{day}/c1.wav"}


def test_a_clean_end_leaves_no_folder(root: Path) -> None:
    store = RecordingStore(RecordingSettings(root=root), "engine/with a name of its own")
    store.live_paths("c1", "mixed")
    assert len(list((root / LIVE_FOLDER).iterdir())) == 2
    store.close()
    assert not list((root / LIVE_FOLDER).iterdir())
