"""Hooks of Schemathesis: tables of members, sound and broken, which it could not make of their schema."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

numbers = st.from_regex(r"\A\+[1-9][0-9]{4,14}\Z", alphabet="+0123456789") | st.text(max_size=20)
names = st.text(max_size=210)
lines = st.tuples(numbers, names) | st.lists(names, max_size=3).map(tuple)


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def table(rows: list[tuple[str, ...]]) -> bytes:
    written = ["number,name", *(",".join(map(quoted, row)) for row in rows)]
    return "\r\n".join(written).encode("utf-8", "replace")


schemathesis.openapi.media_type("text/csv", st.lists(lines, max_size=5).map(table) | st.binary(max_size=100))


@schemathesis.serializer("text/csv")
def written(_context: Any, value: Any) -> bytes:
    """Not only tables: what breaks the schema may be of any kind."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
