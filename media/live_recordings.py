"""Recordings being written: each engine process has a folder of its own, locked for as long as it lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from glob import escape
from pathlib import Path
from urllib.parse import quote

from config import RecordingChannels

LIVE_FOLDER = ".live"
"""Below the root, so that storing a recording needs no copy."""
SIDES = (".caller", ".callee")
"""What tells the two files of a `dual` recording apart: the left channel, the right one."""


class LiveFolder:
    """`.live/<name>/`, locked by `.live/<name>.lock`: the kernel unlocks it however the process ends."""

    def __init__(self, path: Path, lock: int) -> None:
        """`lock`: the descriptor that holds the lock."""
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, root: Path, name: str) -> LiveFolder:
        """Raises OSError."""
        path = root / LIVE_FOLDER / quote(name, safe="")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Locked before the folder exists: nobody ever sees the folder of a living process without its lock.
        lock = os.open(_lock_file(path), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.mkdir(exist_ok=True)
        except OSError:
            os.close(lock)
            raise
        return cls(path, lock)

    @classmethod
    def of_dead_engines(cls, root: Path) -> Iterator[LiveFolder]:
        """What processes left behind that are gone. Nobody else gets such a folder until it is closed."""
        live = root / LIVE_FOLDER
        for path in sorted(live.iterdir()) if live.is_dir() else ():
            if path.is_dir() and (lock := _lock_of_dead(path)) is not None:
                yield cls(path, lock)

    @classmethod
    def erase(cls, root: Path, call_id: str) -> int:
        """Delete what dead engines left of a call; how many files.

        Raises BlockingIOError while an engine that lives has it, or saves it; OSError.
        """
        live, count = root / LIVE_FOLDER, 0
        for path in sorted(live.iterdir()) if live.is_dir() else ():
            if not list(path.glob(f"{escape(call_id)}.*")):
                continue
            if (lock := _lock_of_dead(path)) is None:
                raise BlockingIOError("the recording is still being stored; try again")
            folder = cls(path, lock)
            for file in path.glob(f"{escape(call_id)}.*"):
                file.unlink(missing_ok=True)
                count += 1
            folder.close()
        return count

    def paths(self, call_id: str, channels: RecordingChannels) -> tuple[Path, ...]:
        """Where the recorders of a call write: one file, or the caller's and the callee's."""
        sides = ("",) if channels == "mixed" else SIDES
        return tuple(self.path / f"{call_id}{side}.wav" for side in sides)

    def files(self, call_id: str) -> tuple[Path, ...]:
        """What was written for a call: one file, or the caller's and the callee's."""
        mixed = self.paths(call_id, "mixed")
        return mixed if mixed[0].exists() else self.paths(call_id, "dual")

    def scratch(self, call_id: str) -> Path:
        """For what is made of a call's files before it is encrypted."""
        return self.path / f"{call_id}.scratch"

    def call_ids(self) -> list[str]:
        """The calls that have files here."""
        stems = [path.stem for path in self.path.glob("*.wav")]
        return sorted({stem.removesuffix(SIDES[0]).removesuffix(SIDES[1]) for stem in stems})

    def discard(self, call_id: str) -> None:
        """Delete the files of a call. Raises OSError."""
        for path in (*self.files(call_id), self.scratch(call_id)):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder unless recordings are left in it, and unlock it."""
        with suppress(OSError):
            self.path.rmdir()
            _lock_file(self.path).unlink()
        os.close(self._lock)


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _lock_of_dead(folder: Path) -> int | None:
    """None: its process lives, or another engine was faster."""
    try:
        # To write, though nothing is written: NFS locks no other files.
        lock = os.open(_lock_file(folder), os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
