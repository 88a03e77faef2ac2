"""Recordings: where they are kept, and that they are whole before anyone hears of them."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from uuid import uuid4

from config import RecordingChannels, RecordingSettings
from media.file_vault import FileVault
from media.live_recordings import LiveFolder
from media.sealed_file import SealedFileError
from media.wav_files import RecordingError, check_finished, combine, repair

INCOMPLETE = ".incomplete.wav"
"""Instead of `.wav`: what there is of one that could not be written whole. For the operator, never served."""
MEGABYTE = 1_000_000
_FOLDER = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)(\.(?P<days>\d+)d)?", re.ASCII)


class RecordingStore:
    """16-bit PCM WAV files as `<root>/<date>/<call id>.wav`, encrypted if there is a key.

    Where an enterprise has its own retention the folder tells, `<date>.<days>d`: that needs no Redis.

    A file has the same name whether it is encrypted or not: what a call's record says of it stays true.
    """

    def __init__(self, settings: RecordingSettings, engine_id: str | None = None) -> None:
        """`engine_id` names the folder of this process's recorders and must be new with each start."""
        self._settings = settings
        self._root = settings.root
        self.vault = FileVault(settings.keys)
        self._engine_id = engine_id or uuid4().hex
        self._folder: LiveFolder | None = None

    # --- recordings in progress

    def live_paths(self, call_id: str, channels: RecordingChannels) -> tuple[Path, ...]:
        """Where the recorders write while the call lasts: one file, or the caller's and the callee's.

        Raises OSError if the folder cannot be made.
        """
        if self._folder is None:
            self._folder = LiveFolder.create(self._root, self._engine_id)
        self._folder.path.mkdir(parents=True, exist_ok=True)
        return self._folder.paths(call_id, channels)

    def keep(self, call_id: str, at: datetime, retention_days: int | None = None) -> str:
        """Store a finished recording durably; its path relative to the root.

        Its live files stay until `discard_live`: should the process die before Redis knows the path, the next
        engine finds them. Raises RecordingError for one that is not whole, OSError if it cannot be stored.
        """
        if self._folder is None:
            raise RecordingError("nothing was recorded")
        return self._store(self._folder, call_id, at, retention_days)

    def discard_live(self, call_id: str) -> None:
        """Redis knows where the recording is. Raises OSError."""
        if self._folder is not None:
            self._folder.discard(call_id)

    def close(self) -> None:
        """Give the folder up; with recordings in it, it stays locked until the process ends."""
        if self._folder is not None and not self._folder.call_ids():
            self._folder.close()
            self._folder = None

    # --- what dead engines left behind

    def abandoned(self) -> Iterator[LiveFolder]:
        """Folders of engines that died; close each. Raises OSError."""
        return LiveFolder.of_dead_engines(self._root)

    def salvage(self, folder: LiveFolder, call_id: str, retention_days: int | None = None) -> str | None:
        """Repair and store a recording as `keep` does, by the date of its last sample; None if it is empty.

        Raises OSError if it cannot be stored.
        """
        files = folder.files(call_id)
        try:
            at = datetime.fromtimestamp(max(file.stat().st_mtime for file in files), UTC)
            for file in files:
                repair(file)
        except (RecordingError, FileNotFoundError):
            return None
        return self._store(folder, call_id, at, retention_days)

    # --- stored recordings

    def open_path(self, relative: str) -> Path:
        """A stored recording. Raises FileNotFoundError, ValueError for a path outside the root."""
        path = (self._root / relative).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise ValueError("the recording's path leads outside the recording root")
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def rekey(self) -> Iterator[tuple[str, Exception | None]]:
        """Encrypt with the first key what is not: the path of each such file, and what kept us from it.

        Safe at any time, also with other processes at work.
        """
        for file in self._stored():
            try:
                if file.suffix != ".part" and not self.vault.is_sealed_by_first(file):
                    self._reseal(file)
                    yield str(file.relative_to(self._root)), None
            except FileNotFoundError:
                continue
            except (OSError, SealedFileError) as error:
                yield str(file.relative_to(self._root)), error

    def files(self, call_id: str) -> list[Path]:
        """All that is stored of a call, with what was encoded from it. Raises OSError."""
        return [file for file in self._stored() if file.name.startswith(f"{call_id}.")]

    def erase(self, call_id: str) -> int:
        """Delete all files of an ended call, also those that a dead engine has left; how many.

        Raises BlockingIOError while its recording is being stored, OSError.
        """
        count = LiveFolder.erase(self._root, call_id)
        # Again until there is none: one that was being encoded may have got its name meanwhile.
        while files := self.files(call_id):
            # The WAV first: without it nobody begins to encode it.
            for file in sorted(files, key=lambda file: file.suffix != ".wav"):
                if file.suffix != ".part":  # whoever makes it finds that it has gone
                    with suppress(FileNotFoundError), _locked(file):
                        pass  # whoever encrypts it anew has finished
                file.unlink(missing_ok=True)
                count += 1
            for folder in {file.parent for file in files}:
                _sync(folder)
        return count

    def has_room(self) -> bool:
        """Whether another recording may begin: the root can be written and has the free space asked for."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._root).free
        except OSError:
            return False
        enough = free >= self._settings.free_space_floor_mb * MEGABYTE
        return enough and os.access(self._root, os.W_OK | os.X_OK)

    def delete_expired(self, now: datetime) -> int:
        """Delete what is older than the retention, with what was encoded from it, and emptied folders.

        How many files this process deleted. Raises OSError for one that could not be, after all the others.
        """
        deleted, failure = 0, None
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            day, own_retention = _day(folder.name)
            retention = self._settings.retention_days if own_retention is None else own_retention
            if day is None or not retention:
                continue
            limit = now - timedelta(days=retention)
            if day > limit.date():
                continue
            for file in folder.iterdir():
                try:
                    if file.is_file() and file.stat().st_mtime < limit.timestamp():
                        file.unlink()
                        deleted += 1
                except FileNotFoundError:
                    continue
                except OSError as error:
                    failure = error
            if day < now.date():
                with suppress(OSError):
                    folder.rmdir()
        if failure is not None:
            raise failure
        return deleted

    def _stored(self) -> Iterator[Path]:
        """All files of all dates."""
        for folder in sorted(self._root.iterdir()) if self._root.is_dir() else ():
            if _day(folder.name)[0] is not None and folder.is_dir():
                yield from (file for file in sorted(folder.iterdir()) if file.is_file())

    def _reseal(self, file: Path) -> None:
        with _locked(file):
            self._seal(file, file, file.with_name(f"{file.name}.rekey.part"))
            _sync(file.parent)

    def _store(self, folder: LiveFolder, call_id: str, at: datetime, retention_days: int | None) -> str:
        retention = "" if retention_days is None else f".{retention_days}d"
        relative = PurePosixPath(f"{at.date().isoformat()}{retention}") / f"{call_id}.wav"
        target = self._root / relative
        if not target.parent.exists():
            target.parent.mkdir(exist_ok=True)
            _sync(self._root)
        files = folder.files(call_id)
        try:
            rates = {check_finished(file) for file in files}
        except RecordingError:
            for file in files:
                self._set_aside(file, target.with_name(f"{file.stem}{INCOMPLETE}"))
            raise
        rate = self._settings.sample_rate
        as_it_is = len(files) == 1 and rates == {rate}
        if not self.vault.seals:
            if as_it_is:
                _publish(files[0], target)
            else:
                _combine(files, target, rate)
        elif as_it_is:
            self._seal(files[0], target, target.with_suffix(".part"))
        else:
            scratch = folder.scratch(call_id)
            try:
                combine(files, scratch, rate)
                self._seal(scratch, target, target.with_suffix(".part"))
            finally:
                scratch.unlink(missing_ok=True)
        _sync(target.parent)
        return str(relative)

    def _seal(self, file: Path, target: Path, part: Path) -> None:
        """Encrypt with the first key; `target` may be the file itself. Raises OSError, SealedFileError."""
        try:
            with self.vault.open(file) as source, part.open("wb") as sealed:
                self.vault.seal(source, sealed)
                sealed.flush()
                os.fsync(sealed.fileno())
            # The retention goes by this date.
            times = file.stat()
            os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)  # it may be what fills the disk
            raise

    def _set_aside(self, file: Path, name: Path) -> None:
        with suppress(OSError):
            try:
                repair(file)
            except RecordingError:
                file.unlink(missing_ok=True)  # nothing in it
                return
            if self.vault.seals:
                with suppress(OSError):  # where there is no room for a second file, `rekey` does it later
                    self._seal(file, name, name.with_suffix(".part"))
                    file.unlink()
                    return
            file.replace(name)


def _publish(file: Path, target: Path) -> None:
    """Give a file its second name, durably; where the file system has no hard links, its only one."""
    _sync(file)
    part = target.with_suffix(".part")
    try:
        part.unlink(missing_ok=True)
        part.hardlink_to(file)
        part.replace(target)
        part.unlink(missing_ok=True)  # POSIX: renaming one name of a file to another does nothing
    except OSError:
        file.replace(target)


def _combine(files: Sequence[Path], target: Path, rate: int) -> None:
    part = target.with_suffix(".part")
    try:
        combine(files, part, rate)
        _sync(part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)  # it may be what fills the disk
        raise


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """What is deleted does not come back by being encrypted anew. Raises OSError."""
    # To write, though nothing is written: NFS locks no other files.
    with file.open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.samestat(os.fstat(lock.fileno()), file.stat()):
            raise FileNotFoundError(f"{file.name} was replaced meanwhile")
        yield


def _day(folder: str) -> tuple[date | None, int | None]:
    """The date of a folder's recordings, and their own retention; no date: it is no folder of recordings."""
    parts = _FOLDER.fullmatch(folder)
    if parts is None:
        return None, None
    try:
        day = date.fromisoformat(parts["day"])
    except ValueError:
        return None, None
    return day, None if parts["days"] is None else int(parts["days"])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
