"""Members as CSV (RFC 4180): `number`, and `name` if there is one, with a header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

HEADER = ("number", "name")


class MemberTableError(ValueError):
    """The table cannot be read; the message names the line."""


def written(members: Mapping[str, str]) -> str:
    """`members`: names by number."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    writer.writerows((number, _harmless(name)) for number, name in members.items())
    return text.getvalue()


def parsed(text: str) -> dict[str, str]:
    """Names by number. Raises MemberTableError."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    members: dict[str, str] = {}
    try:
        header = tuple(cell.strip().lower() for cell in next(rows, []))
        if header not in (HEADER, HEADER[:1]):
            raise MemberTableError("line 1: the header must be number,name or number")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise MemberTableError(f"line {rows.line_num}: {len(row)} cells instead of {len(header)}")
            if row[0] in members:
                raise MemberTableError(f"line {rows.line_num}: the number comes twice")
            members[row[0]] = row[1].removeprefix("'") if len(row) > 1 else ""
    except csv.Error as error:
        raise MemberTableError(f"line {rows.line_num}: {error}") from error
    return members


def _harmless(name: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else name
