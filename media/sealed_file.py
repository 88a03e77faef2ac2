"""A file encrypted in the format of age (age-encryption.org/v1), read from any place."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAGIC = b"age-encryption.org/v1\n"
HEADER_ENDS = b"--- "
NONCE, CHUNK, TAG = 16, 65536, 16
"""Bytes (the specification's sections "Header" and "Payload"); each chunk is followed by its tag."""


class SealedFileError(Exception):
    """None of the keys opens the file, or it was changed or cut off since it was written."""


def is_sealed(path: Path) -> bool:
    """Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def content_size(path: Path) -> int:
    """Bytes of an encrypted file's content. Raises OSError, SealedFileError."""
    with path.open("rb") as file:
        while not (line := file.readline()).startswith(HEADER_ENDS):
            if not line:
                raise SealedFileError(f"{path.name}: ends within its header")
        payload = os.fstat(file.fileno()).st_size - file.tell() - NONCE
    return max(0, payload - -(-payload // (CHUNK + TAG)) * TAG)


class SealedFile(io.RawIOBase):
    """What is in it, in constant memory; what is read was authenticated, chunk by chunk.

    The library decrypts from the start, at some 500 MB/s, on a thread that writes into a pipe: going forward
    skips, going back begins again.
    """

    def __init__(self, path: Path, identities: Sequence[pyrage.x25519.Identity]) -> None:
        """Raises OSError, SealedFileError if none of the identities opens it; reading raises them, too."""
        super().__init__()
        self._path = path
        self._identities = identities
        self._position = 0
        """Where the next read begins; the pipe itself may be elsewhere."""
        self._begin()
        try:
            self._ahead = self._from_pipe(CHUNK)
        except BaseException:
            self.close()
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        match whence:
            case os.SEEK_CUR:
                offset += self._position
            case os.SEEK_END:
                offset += content_size(self._path)
        self._position = max(0, offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._position < self._reached:
            self._end()
            self._begin()
        while self._reached < self._position:
            if not self._take(min(CHUNK, self._position - self._reached)):
                return 0
        view = memoryview(buffer).cast("B")
        content = self._take(len(view))
        view[: len(content)] = content
        self._position = self._reached
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._end()
        super().close()

    def _take(self, at_most: int) -> bytes:
        content = self._ahead[:at_most] or self._from_pipe(at_most)
        self._ahead = self._ahead[len(content) :]
        self._reached += len(content)
        return content

    def _from_pipe(self, at_most: int) -> bytes:
        content = os.read(self._pipe, at_most)
        if not content:
            self._thread.join()
            if self._failure is not None:
                raise self._failure
        return content

    def _begin(self) -> None:
        self._reached, self._ahead = 0, b""
        self._failure: Exception | None = None
        self._pipe, writing_end = os.pipe()
        self._thread = threading.Thread(
            target=self._decrypt, args=(writing_end,), name="decryption", daemon=True
        )
        self._thread.start()

    def _end(self) -> None:
        os.close(self._pipe)
        self._thread.join()  # its next write fails

    def _decrypt(self, writing_end: int) -> None:
        try:
            with os.fdopen(writing_end, "wb") as pipe, self._path.open("rb") as source:
                pyrage.decrypt_io(source, pipe, self._identities)
        except BrokenPipeError:
            return
        except FileNotFoundError as error:
            self._failure = error
        except (pyrage.DecryptError, OSError) as error:
            self._failure = SealedFileError(f"{self._path.name}: {error}")
