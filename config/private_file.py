"""Files with secrets or numbers: complete when they are first seen, and readable by their owner only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TextIO, cast


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """Write or replace `path` atomically with mode 0600 when the block ends, or leave it when that fails.

    Its folder is made when absent. Until then the content is in a file `.<name>.<anything>` beside it, which
    a process that is killed leaves behind. Afterwards it is on the disk, under its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes it 0600. Line endings are the writer's.
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", newline="", delete=False) as file:
        try:
            yield cast(TextIO, file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_private(path: Path, content: str) -> None:
    """Write or replace `path` atomically with mode 0600."""
    with private_file(path) as file:
        file.write(content)
