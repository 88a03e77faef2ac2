"""`dialbridge cdr export`: the call detail records of any period."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from api.cdr_lines import header, line
from config import Settings
from config.private_file import private_file
from config.settings import CdrFormat
from state.cdr import CallDetailRecords
from state.connection import connect
from state.keys import Keys


def export(
    settings: Settings, *, start: datetime, end: datetime, style: CdrFormat, output: Path | None
) -> int:
    """Write the records of [start, end) to `output`, whole or not at all, or to standard output; how many.

    Raises one of `state.connection.UNREACHABLE`, or ConfigurationError.
    """
    if output is None:
        return asyncio.run(_export(settings, start, end, style, sys.stdout.write))
    with private_file(output) as file:
        return asyncio.run(_export(settings, start, end, style, file.write))


async def _export(
    settings: Settings, start: datetime, end: datetime, style: CdrFormat, write: Callable[[str], object]
) -> int:
    count = 0
    async with connect(settings.redis_url) as redis:
        write(header(style))
        async for record in CallDetailRecords(redis, Keys(settings.redis.prefix)).between(start, end):
            write(line(record, style))
            count += 1
    return count
