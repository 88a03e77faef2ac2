"""Call detail records in files, one for each period: whole when they appear, and each record in one of them.

What a period's file holds is decided by the stream of records alone, so whoever writes it again writes the
same. Redis knows until when files were written, and a file is there before Redis says so. Thus a notifier
that is killed at any point leaves a hidden file at most, and the next one goes on: a file that is there is
not written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from redis.asyncio.lock import Lock
from redis.exceptions import LockError

from api.cdr_lines import header, line
from config.private_file import private_file
from config.settings import CdrFormat, CdrSettings
from state.cdr import LOCK_LEASE, CallDetailRecords, WrittenRecords
from state.connection import connect
from state.keys import Keys

log = structlog.get_logger()

INTERVAL = 5.0
"""Seconds between looks for a period that is over."""
CLOSING_MARGIN = timedelta(seconds=30)
"""A replica that becomes the server may be so far behind in time, and still add a record to a period."""
TRIMMING_MARGIN = timedelta(minutes=10)
"""What is written must not be trimmed from the stream meanwhile."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BATCH = 500
"""Records between two extensions of the lock."""


class CdrFiles:
    """Any number of notifiers may run it, on one folder: one of them writes at a time."""

    def __init__(
        self, settings: CdrSettings, folder: Path, *, redis_url: str, keys: Keys, retention: int
    ) -> None:
        """`retention`: seconds that records stay in the stream."""
        self._settings = settings
        self._folder = folder
        self._redis_url = redis_url
        self._keys = keys
        self._retention = timedelta(seconds=retention)

    async def run(self, stopped: asyncio.Event) -> None:
        """Until `stopped`, and the file that is being written is complete."""
        failing = False
        while not stopped.is_set():
            try:
                # A thread with a loop of its own: deliveries wait neither for many records nor for a disk.
                await asyncio.to_thread(asyncio.run, self.write_due(stopped.is_set))
                failing = False
            except Exception:
                if not failing:
                    log.exception("cdr_files_not_written", folder=str(self._folder))
                failing = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), INTERVAL)

    async def write_due(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Write the file of each period that is over, unless another notifier is at it.

        Raises one of `state.connection.UNREACHABLE`, for the disk as well, or LockError if it took so long
        that another took over.
        """
        async with connect(self._redis_url) as redis:
            written, records = WrittenRecords(redis, self._keys), CallDetailRecords(redis, self._keys)
            lock = written.lock()
            if not await lock.acquire():
                return
            try:
                while not stopped() and await self._write_next(written, records, lock):
                    pass
            finally:
                with suppress(LockError):
                    await lock.release()

    async def _write_next(self, written: WrittenRecords, records: CallDetailRecords, lock: Lock) -> bool:
        """The oldest period that is over and not written; False if there is none."""
        period = self._settings.period
        now, start = await written.now(), await written.until()
        whole_from = period_end(now - self._retention + TRIMMING_MARGIN, period)
        if start is None:
            oldest = await records.oldest() or now
            return await written.advance(None, max(period_begin(oldest, period), whole_from))
        if start < whole_from:
            log.error("cdr_files_missing", start=start.isoformat(), end=whole_from.isoformat())
            return await written.advance(start, whole_from)
        end = period_end(start, period)
        if now < end + CLOSING_MARGIN:
            return False
        for style in self._settings.formats:
            await self._write(records, lock, start, end, style)
        return await written.advance(start, end)

    async def _write(
        self, records: CallDetailRecords, lock: Lock, start: datetime, end: datetime, style: CdrFormat
    ) -> None:
        path = self._folder / file_name(start, end, style)
        if path.exists():
            return
        for left_behind in self._folder.glob(".cdr-*"):
            left_behind.unlink(missing_ok=True)
        count = 0
        with private_file(path) as file:
            file.write(header(style))
            async for record in records.between(start, end):
                file.write(line(record, style))
                count += 1
                if count % BATCH == 0:
                    await lock.extend(LOCK_LEASE, replace_ttl=True)
            await lock.extend(LOCK_LEASE, replace_ttl=True)
        log.info("cdr_file_written", file=path.name, records=count)


def period_begin(moment: datetime, period: timedelta) -> datetime:
    """Of the period that `moment` is in."""
    return EPOCH + (moment - EPOCH) // period * period


def period_end(moment: datetime, period: timedelta) -> datetime:
    return period_begin(moment, period) + period


def file_name(start: datetime, end: datetime, style: CdrFormat) -> str:
    """Both are whole hours: where one file ends the next begins, also when `cdr.rotation` is changed."""
    return f"cdr-{start:%Y%m%dT%H}Z-{end:%Y%m%dT%H}Z.{style}"
