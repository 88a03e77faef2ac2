"""Recordings at rest: encrypted where a key is configured."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pyrage
from pydantic import SecretStr

from media.sealed_file import SealedFile, SealedFileError, content_size, is_sealed


class FileVault:
    """The first key encrypts, all decrypt; what was stored before there was a key is read as it is."""

    def __init__(self, keys: Sequence[SecretStr] = ()) -> None:
        """Keys as `config.settings.RecordingSettings` has checked them."""
        texts = [key.get_secret_value() for key in keys]
        pairs = [None if _is_public(text) else pyrage.x25519.Identity.from_str(text) for text in texts]
        self._pairs = [pair for pair in pairs if pair is not None]
        self._first = pairs[0] if pairs else None
        self._recipient = self._first.to_public() if self._first else None
        if texts and _is_public(texts[0]):
            self._recipient = pyrage.x25519.Recipient.from_str(texts[0])

    @property
    def seals(self) -> bool:
        """Whether there is a key to encrypt with."""
        return self._recipient is not None

    @property
    def opens_what_it_seals(self) -> bool:
        """Not with only the public half of the first key."""
        return self._first is not None

    def seal(self, source: BinaryIO, target: BinaryIO) -> None:
        """Encrypt what `source` still has. Raises OSError.

        The library asks Python for each block, so that other threads get their turn: its `encrypt_file` would
        hold up the PJ thread for the whole of a long recording.
        """
        if self._recipient is None:
            raise ValueError("there is no key to encrypt with")
        try:
            pyrage.encrypt_io(source, target, [self._recipient])  # type: ignore[arg-type]
        except pyrage.EncryptError as error:  # what the library makes of either file's OSError
            raise OSError(str(error)) from error

    def open(self, path: Path) -> io.BufferedReader:
        """The content. Raises OSError, SealedFileError; so does reading, of what is not as it was written."""
        if is_sealed(path):
            return io.BufferedReader(SealedFile(path, self._pairs))
        return path.open("rb")

    def stat(self, path: Path) -> os.stat_result:
        """The file's, with the content's size. Raises OSError, SealedFileError."""
        found = path.stat()
        if not is_sealed(path):
            return found
        values = list(found[:10])
        values[6] = content_size(path)
        return os.stat_result(values)

    def is_sealed_by_first(self, path: Path) -> bool:
        """Whether the first key has encrypted it. Raises OSError."""
        if not is_sealed(path) or self._first is None:
            return False
        try:
            SealedFile(path, [self._first]).close()
        except SealedFileError:
            return False
        return True


def _is_public(key: str) -> bool:
    return key.startswith("age1")
