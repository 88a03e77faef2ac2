"""What may explain a failure: logs of the processes under test, added to the report of a failed test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_sources: dict[str, Callable[[], str]] = {}


def offer(name: str, text: Callable[[], str]) -> None:
    """Until `withdraw`, a failed test's report quotes what `text` then says."""
    _sources[name] = text


def withdraw(name: str) -> None:
    _sources.pop(name, None)


def sections() -> list[tuple[str, str]]:
    return [(name, text()) for name, text in _sources.items()]


def tail(path: Path, lines: int = 60) -> str:
    """The end of a log file, '' if there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
