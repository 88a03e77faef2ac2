"""Finished recordings: where they are kept, and that they are whole before anyone hears of them."""

from __future__ import annotations

import os
import wave
from datetime import datetime
from pathlib import Path, PurePosixPath

LIVE_FOLDER = ".live"
"""Recordings being written, below the root so that keeping one is a rename."""


class RecordingError(Exception):
    """The file is not a finished recording."""


class RecordingStore:
    """16-bit PCM WAV files as `<root>/<date>/<call id>.wav`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def live_path(self, call_id: str) -> Path:
        """Where the recorder writes while the call lasts. Raises OSError if the folder cannot be made."""
        folder = self._root / LIVE_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{call_id}.wav"

    def keep(self, call_id: str, at: datetime) -> str:
        """Store a finished recording durably; its path relative to the root.

        Raises RecordingError if the file is not whole, OSError if it cannot be stored.
        """
        live = self.live_path(call_id)
        _check_finished(live)
        relative = PurePosixPath(at.date().isoformat()) / live.name
        target = self._root / relative
        target.parent.mkdir(exist_ok=True)
        _sync(live)
        live.rename(target)
        _sync(target.parent)
        return str(relative)

    def open_path(self, relative: str) -> Path:
        """A stored recording. Raises FileNotFoundError, ValueError for a path outside the root."""
        path = (self._root / relative).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise ValueError("the recording's path leads outside the recording root")
        if not path.is_file():
            raise FileNotFoundError(path)
        return path


def _check_finished(path: Path) -> None:
    """pjmedia writes the lengths into the header last: zeros mean that it has not finished."""
    try:
        with wave.open(str(path), "rb") as reader:
            frames, width = reader.getnframes(), reader.getsampwidth() * reader.getnchannels()
            start = path.stat().st_size - frames * width
    except (wave.Error, EOFError) as error:
        raise RecordingError(f"not a WAV file: {error}") from error
    if start != 44:
        raise RecordingError("the header's length does not match the file's")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
