"""Call detail records as JSON lines or as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable

from config.settings import CdrFormat
from state.attempts import LegAttempt
from state.cdr import CallDetailRecord
from state.quality import LegQuality

LEGS = ("caller", "callee")
COLUMNS = (
    *(name for name in CallDetailRecord.model_fields if name not in {f"{leg}_quality" for leg in LEGS}),
    *(
        f"{leg}_{name}"
        for leg in LEGS
        for name in (*LegAttempt.model_fields, *LegQuality.model_fields)
        if name != "leg"
    ),
)
"""Of the table: a leg's last attempt and its quality are a group of them."""


def header(style: CdrFormat) -> str:
    return _csv_line(COLUMNS) if style == "csv" else ""


def line(record: CallDetailRecord, style: CdrFormat) -> str:
    return _csv_line(_cells(record)) if style == "csv" else record.model_dump_json() + "\n"


def _csv_line(cells: Iterable[object]) -> str:
    """RFC 4180."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _cells(record: CallDetailRecord) -> list[object]:
    row = record.model_dump(mode="json")
    last = {attempt["leg"]: attempt for attempt in row["attempts"]}
    for leg in LEGS:
        group = last.get(leg, {}) | (row.pop(f"{leg}_quality") or {})
        row |= {f"{leg}_{name}": value for name, value in group.items()}
    for name in ("digits", "attempts"):
        row[name] = json.dumps(row[name]) if row[name] else None
    return [row.get(column) for column in COLUMNS]
