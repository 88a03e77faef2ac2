"""`dialbridge cdr export`: call detail records as JSON lines or as a table for a spreadsheet."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

from config import Settings
from dialbridge.private_file import private_file
from state.cdr import CallDetailRecord, CallDetailRecords
from state.connection import connect
from state.keys import Keys
from state.quality import LegQuality

LEGS = ("caller", "callee")
COLUMNS = (
    *(name for name in CallDetailRecord.model_fields if name not in {f"{leg}_quality" for leg in LEGS}),
    *(f"{leg}_{name}" for leg in LEGS for name in LegQuality.model_fields),
)
"""Of the table: a leg's quality is a group of them."""


Style = Literal["jsonl", "csv"]


def export(settings: Settings, *, start: datetime, end: datetime, style: Style, output: Path | None) -> int:
    """Write the records of [start, end) to `output`, whole or not at all, or to standard output; how many.

    Raises one of `state.connection.UNREACHABLE`, or ConfigurationError.
    """
    if output is None:
        return asyncio.run(_export(settings, start, end, style, sys.stdout.write))
    with private_file(output) as file:
        return asyncio.run(_export(settings, start, end, style, file.write))


async def _export(
    settings: Settings, start: datetime, end: datetime, style: Style, write: Callable[[str], object]
) -> int:
    count = 0
    async with connect(settings.redis_url) as redis:
        if style == "csv":
            write(_csv_line(COLUMNS))
        async for record in CallDetailRecords(redis, Keys(settings.redis.prefix)).between(start, end):
            write(_csv_line(_cells(record)) if style == "csv" else record.model_dump_json() + "\n")
            count += 1
    return count


def _csv_line(cells: Iterable[object]) -> str:
    """RFC 4180."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cells(record: CallDetailRecord) -> list[object]:
    row = record.model_dump(mode="json")
    for leg in LEGS:
        row |= {f"{leg}_{name}": value for name, value in (row.pop(f"{leg}_quality") or {}).items()}
    row["digits"] = json.dumps(row["digits"]) if row["digits"] else None
    return [row.get(column) for column in COLUMNS]
