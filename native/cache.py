"""Keeps sources and built wheels outside the checkout, by the hash of what they were made from."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from native.progress import Progress
from native.source import content_hash

CACHE_VARIABLE = "DIALBRIDGE_CACHE"


def cache_directory(variables: Mapping[str, str] = os.environ) -> Path:
    """``$DIALBRIDGE_CACHE``, else ``dialbridge`` in the user's cache directory (XDG base directories)."""
    if named := variables.get(CACHE_VARIABLE):
        return Path(named).expanduser().resolve()
    base = Path(variables.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "dialbridge"


class Cache:
    """Files appear in it complete (by rename) or not at all, so readers need no lock; builders take one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self._sources = root / "sources"
        self._wheels = root / "wheels"
        self._work = root / "work"

    @contextmanager
    def build_lock(self, progress: Progress) -> Iterator[None]:
        """One build at a time; a second one waits and then finds the first one's wheel."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "build.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with progress.step("waiting for another build to end"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def work_directory(self) -> Iterator[Path]:
        """Scratch space on the cache's file system. Only under the lock: it clears a killed build's."""
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        try:
            yield Path(tempfile.mkdtemp(dir=self._work))
        finally:
            shutil.rmtree(self._work)

    def newest_source(self) -> Path | None:
        """The tarball fetched last, if any."""
        tarballs = sorted(self._sources.glob("*.tar.*"), key=lambda path: path.stat().st_mtime)
        return tarballs[-1] if tarballs else None

    def keep_source(self, tarball: Path) -> Path:
        """Move a fetched tarball into the cache."""
        suffix = "".join(tarball.suffixes[-2:])
        kept = self._sources / f"pjproject-{content_hash(tarball)[:16]}{suffix}"
        kept.parent.mkdir(exist_ok=True)
        tarball.touch()  # the archive's date says nothing about when we fetched it
        tarball.replace(kept)
        return kept

    def wheel(self, key: str) -> Path | None:
        """The wheel built from what `key` stands for."""
        return next((self._wheels / key).glob("*.whl"), None)

    def keep_wheel(self, key: str, wheel: Path) -> Path:
        kept = self._wheels / key / wheel.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        wheel.replace(kept)
        return kept
