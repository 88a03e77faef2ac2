"""What the product's processes logged, in the lab's format (`log.format = "console"`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

_LINE = re.compile(r"\d{4}-\S+ \[(?P<level>\w+) *\] (?P<event>.*?)(?: +(?P<rest>\w+=.*))?$")
_VALUE = re.compile(r"""\b(process|phase|detail)=(\S+|'[^']*'|"[^"]*")(?= \w+=|$)""")
_PORT_TAKEN = "engine: pjsip: RTP socket bind()"
"""By another program: pjsua takes the next port of its range."""
_TRACEBACK = "Traceback (most recent call last)"


class LogLines:
    def __init__(self, lines: Iterable[str]) -> None:
        self.errors: Counter[str] = Counter()
        """As `process: event`, with what PJSIP said, without numbers.

        A traceback that explains no such line is one, too.
        """
        self.events: Counter[str] = Counter()
        """Of the engine; with the phase that a call came to: `call moved on: connected`."""
        level = ""
        for line in lines:
            if found := _LINE.match(line):
                level = found["level"]
                self._take(level, found["event"], dict(_VALUE.findall(found["rest"] or "")))
            elif line.startswith(_TRACEBACK) and level not in ("error", "critical"):
                self.errors["a traceback"] += 1

    @classmethod
    def of(cls, *logs: Path) -> LogLines:
        return cls(line for log in logs for line in _lines(log))

    def _take(self, level: str, event: str, values: dict[str, str]) -> None:
        process = values.get("process", "?")
        if level in ("error", "critical"):
            error = f"{process}: {event}"
            if "detail" in values:
                error += ": " + re.sub(r"\d+", "#", values["detail"].strip("'\""))
            if not error.startswith(_PORT_TAKEN):
                self.errors[error] += 1
        elif process == "engine":
            self.events[f"{event}: {values['phase']}" if "phase" in values else event] += 1


def _lines(log: Path) -> Iterator[str]:
    with log.open(errors="replace") as file:
        for line in file:
            yield line.rstrip("\n")
