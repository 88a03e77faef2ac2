"""Recordings in another format than WAV: encoded once, kept beside the WAV, made off the event loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile
import structlog

from api.errors import UnavailableError
from media.file_vault import FileVault
from media.recording_formats import SUFFIXES, EncodedType, EncodingStoppedError, encode

log = structlog.get_logger()

BASE64_LIMIT = 20_971_520
"""`RecordingResource.content` has this maxLength (click-to-dial.yaml)."""
SIZE_LIMIT = BASE64_LIMIT // 4 * 3
"""Bytes whose base64 is not longer."""
PATIENCE = 25.0
"""Seconds a request waits: four hours of Opus take minutes, and proxies give up after one."""
RETRY_AFTER = 10
AT_ONCE = 2
SPARES = 16
"""Encoded files kept where the recordings' own folder cannot be written."""


class RecordingEncoder:
    """Safe with several api processes on one folder: who holds the lock on the unfinished file makes it."""

    def __init__(self, vault: FileVault | None = None, *, patience: float = PATIENCE) -> None:
        """`vault`: opens the recordings, and seals what is made of them."""
        self._vault = vault or FileVault()
        self._patience = patience
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="encoder")
        self._running: dict[Path, asyncio.Future[Path]] = {}
        self._stopped = threading.Event()
        self._spare_folder: tempfile.TemporaryDirectory[str] | None = None
        self._spares: deque[Path] = deque()

    async def encoded(self, wav: Path, kind: EncodedType) -> Path:
        """The file; it may exceed SIZE_LIMIT if the recording is too long for any quality.

        Raises UnavailableError when it is not ready in time; the work goes on, for the next request.
        """
        target = wav.with_suffix(SUFFIXES[kind])
        if there := await asyncio.to_thread(self._find, target):
            return there
        work = self._running.get(target)
        if work is None:
            loop = asyncio.get_running_loop()
            work = self._running[target] = loop.run_in_executor(self._threads, self._make, wav, target, kind)
            work.add_done_callback(lambda done: self._finished(target, done))
        done, _ = await asyncio.wait({work}, timeout=self._patience)
        if not done:
            raise UnavailableError("The recording is being encoded; try again.", RETRY_AFTER)
        return work.result()

    async def close(self) -> None:
        """End what is going on."""
        self._stopped.set()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        if self._spare_folder is not None:
            self._spare_folder.cleanup()

    def _finished(self, target: Path, work: asyncio.Future[Path]) -> None:
        del self._running[target]
        if not work.cancelled() and (error := work.exception()):
            log.error("recording_not_encoded", file=target.name, error=repr(error))

    # --- on other threads

    def _find(self, target: Path) -> Path | None:
        spares = [spare for spare in self._spares if spare.name == target.name]
        return next((file for file in (target, *spares) if file.exists()), None)

    def _make(self, wav: Path, target: Path, kind: EncodedType) -> Path:
        try:
            return self._encode(wav, target, kind)
        except (OSError, soundfile.SoundFileError) as error:
            log.warning("recording_folder_not_written", error=str(error))
        if self._spare_folder is None:
            self._spare_folder = tempfile.TemporaryDirectory(prefix="dialbridge-recordings-")
        spare = self._encode(wav, Path(self._spare_folder.name) / target.name, kind)
        self._spares.append(spare)
        while len(self._spares) > SPARES:
            self._spares.popleft().unlink(missing_ok=True)
        return spare

    def _encode(self, wav: Path, target: Path, kind: EncodedType) -> Path:
        part = target.with_name(f"{target.name}.part")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._wait_for_lock(descriptor)
            if target.exists():  # another process was faster: its file may be the one that is locked here
                return target
            try:
                self._write(wav, part, kind)
                os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, 0)  # its name stays: others may wait for its lock
                raise
            # It grows old with the recording: the retention goes by this date.
            times = wav.stat()
            os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))
            log.info("recording_encoded", file=target.name, size=times.st_size)
            return part.replace(target)
        finally:
            os.close(descriptor)

    def _write(self, wav: Path, part: Path, kind: EncodedType) -> None:
        with self._vault.open(wav) as source:
            if not self._vault.seals:
                encode(source, part, kind, limit=SIZE_LIMIT, stopped=self._stopped)
                return
            # MPEG's writer goes back to its beginning: encrypted is what is whole, in memory until then.
            with os.fdopen(os.memfd_create(part.name), "rb") as plain, part.open("wb") as sealed:
                memory = Path(f"/proc/self/fd/{plain.fileno()}")
                encode(source, memory, kind, limit=SIZE_LIMIT, stopped=self._stopped)
                self._vault.seal(plain, sealed)

    def _wait_for_lock(self, descriptor: int) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._stopped.wait(0.2):
                    raise EncodingStoppedError from None
            else:
                return
