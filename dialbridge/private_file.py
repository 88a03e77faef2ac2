"""Files that hold secrets: complete from the first moment they are seen, and readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_private(path: Path, content: str) -> None:
    """Write or replace `path` atomically with mode 0600; its folder is made when absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        # mkstemp made it 0600.
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
