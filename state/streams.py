"""Reading streams from end to end, page by page, and the times that their entries' ids tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis

PAGE = 500
"""Entries that one round trip reads."""


async def read_stream(
    redis: Redis,
    key: str,
    start: datetime | None = None,
    end: datetime | None = None,
    after: str | None = None,
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The (id, fields) of the entries added from `start` until before `end`, by the Redis server's clock.

    `after`: the id of an entry behind which to begin instead. Raises one of `state.connection.UNREACHABLE`.
    """
    first = "-" if start is None else f"{milliseconds(start)}-0"
    if after is not None:
        first = f"({after}"
    last = "+" if end is None else f"({milliseconds(end)}-0"
    if end is not None and milliseconds(end) == 0:
        return  # before any entry; Redis takes nothing that would be less than 0-0
    while True:
        entries: Any = await redis.xrange(key, first, last, count=PAGE)
        for entry_id, fields in entries:
            yield entry_id, fields
            first = f"({entry_id}"
        if len(entries) < PAGE:
            return


def milliseconds(moment: datetime) -> int:
    return max(0, int(moment.timestamp() * 1000))


def added_at(entry_id: str) -> datetime:
    """UTC, by the clock of the Redis server."""
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
