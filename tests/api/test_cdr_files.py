"""Call detail records in files: each period once, whole, whatever is killed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_IMODE
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from api.cdr_files import CLOSING_MARGIN, CdrFiles, file_name, period_begin, period_end
from config.settings import CdrSettings
from state.cdr import CallDetailRecords, WrittenRecords
from state.connection import connect
from state.keys import Keys
from tests.api.cdr_writer import RETENTION, writer
from tests.api.configuration import write_config
from tests.api.played_engine import PlayedEngine
from tests.api.processes import NotifierProcess
from tests.api.sink_server import SinkServer
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
T = TypeVar("T")


@pytest.fixture
def keys(prefix: str) -> Keys:
    return Keys(prefix)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cdr"


@pytest.fixture
def this_hour() -> datetime:
    """So long after its beginning that the hour before is closed."""
    wait_until(
        lambda: (
            period_begin(datetime.now(UTC) - CLOSING_MARGIN, HOUR) == period_begin(datetime.now(UTC), HOUR)
        ),
        timeout=CLOSING_MARGIN.total_seconds() + 5,
        what="an hour that is closed",
    )
    return period_begin(datetime.now(UTC), HOUR)


def record(call_id: str, at: datetime) -> dict[str, str]:
    """As `transition.lua` writes it."""
    attempt = {"leg": "caller", "trunk": "default", "dialled": "+447700900001", "invited_at": at.isoformat()}
    return {
        "id": call_id,
        "enterprise_id": "acme",
        "client_id": "shop",
        "caller": "+447700900001",
        "callee": "+447700900002",
        "presented_number": "+442079460000",
        "state": "failed",
        "created_at": at.isoformat(),
        "ended_at": at.isoformat(),
        "attempts": json.dumps([attempt]),
    }


class Stream:
    """The records of a test's prefix, at times of its choice."""

    def __init__(self, redis_url: str, keys: Keys) -> None:
        self._redis_url = redis_url
        self._keys = keys

    def add(self, *records: tuple[str, datetime]) -> None:
        """In the order of their times."""

        async def write(redis: Redis) -> None:
            pipeline = redis.pipeline(transaction=False)
            for call_id, at in records:
                entry_id = f"{int(at.timestamp() * 1000)}-*"
                pipeline.xadd(self._keys.cdrs, {"record": json.dumps(record(call_id, at))}, id=entry_id)
            await pipeline.execute()

        self.do(write)

    def until(self) -> datetime | None:
        return self.do(lambda redis: WrittenRecords(redis, self._keys).until())

    def free_lock(self) -> None:
        """As its lease ends some time after whoever had it was killed."""
        self.do(lambda redis: redis.delete(self._keys.cdrs_writer))

    def do(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        async def run() -> T:
            async with connect(self._redis_url) as redis:
                return await work(redis)

        return asyncio.run(run())


@pytest.fixture
def stream(redis_url: str, keys: Keys) -> Stream:
    return Stream(redis_url, keys)


def call_ids(path: Path) -> list[str]:
    if path.suffix == ".csv":
        return [row["call_id"] for row in csv.DictReader(io.StringIO(path.read_text(), newline=""))]
    return [json.loads(line)["call_id"] for line in path.read_text().splitlines()]


def in_files(folder: Path, style: str) -> dict[str, list[str]]:
    """The calls of each finished file, by the hour in its name."""
    found = {}
    for path in sorted(folder.glob(f"*.{style}")):
        match = re.fullmatch(rf"cdr-(\d{{8}}T\d\d)Z-\d{{8}}T\d\dZ\.{style}", path.name)
        assert match, path.name
        found[match[1]] = call_ids(path)
    return found


def hour_name(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H}"


def test_each_hour_that_is_over_has_one_file_of_each_format(
    stream: Stream, redis_url: str, prefix: str, folder: Path, this_hour: datetime
) -> None:
    """The first one begins with the oldest record; an hour without records has an empty file."""
    three, two, one = (this_hour - count * HOUR for count in (3, 2, 1))
    tick = timedelta(milliseconds=1)
    stream.add(
        ("first", three), ("last", two - tick), ("next", one), ("later", one + HOUR / 2), ("live", this_hour)
    )
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    expected = {hour_name(three): ["first", "last"], hour_name(two): [], hour_name(one): ["next", "later"]}
    assert in_files(folder, "csv") == in_files(folder, "jsonl") == expected
    assert len(list(folder.iterdir())) == 6
    assert {S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    empty = file_name(two, one, "csv"), file_name(two, one, "jsonl")
    assert [len((folder / name).read_text().splitlines()) for name in empty] == [1, 0]
    assert stream.until() == this_hour


def test_the_files_are_what_an_export_of_the_period_would_be(
    stream: Stream, redis_url: str, prefix: str, folder: Path, this_hour: datetime, tmp_path: Path
) -> None:
    stream.add(("a", this_hour - HOUR), ("b", this_hour - HOUR / 2))
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    settings = write_config(tmp_path, redis_url, prefix)
    for style in ("csv", "jsonl"):
        command = [sys.executable, "-m", "dialbridge", "cdr", "export", "--config", str(settings)]
        period = [f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in (this_hour - HOUR, this_hour)]
        options = ["--from", period[0], "--to", period[1], "--format", style]
        exported = subprocess.run([*command, *options], capture_output=True, check=True, timeout=60)
        path = folder / file_name(this_hour - HOUR, this_hour, "csv" if style == "csv" else "jsonl")
        assert path.read_bytes() == exported.stdout


def test_a_file_that_is_there_is_not_written_again(
    stream: Stream, redis_url: str, prefix: str, folder: Path, this_hour: datetime
) -> None:
    """Its writer was killed before it could tell Redis."""
    stream.add(("a", this_hour - HOUR))
    path = folder / file_name(this_hour - HOUR, this_hour, "csv")
    folder.mkdir()
    path.write_text("by the one before")
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    assert path.read_text() == "by the one before"
    assert in_files(folder, "jsonl") == {hour_name(this_hour - HOUR): ["a"]}
    assert stream.until() == this_hour


def test_a_file_that_its_reader_has_taken_away_does_not_come_again(
    stream: Stream, redis_url: str, prefix: str, folder: Path, this_hour: datetime
) -> None:
    stream.add(("a", this_hour - HOUR))
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    for path in folder.iterdir():
        path.unlink()
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    assert list(folder.iterdir()) == []


def test_while_another_notifier_writes_nothing_is_written(
    stream: Stream, redis_url: str, prefix: str, folder: Path, keys: Keys, this_hour: datetime
) -> None:
    stream.add(("a", this_hour - HOUR))
    stream.do(lambda redis: WrittenRecords(redis, keys).lock().acquire())
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    assert not folder.exists()
    stream.free_lock()
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    assert in_files(folder, "csv") == {hour_name(this_hour - HOUR): ["a"]}


def test_another_rotation_goes_on_where_the_former_ended(
    stream: Stream, redis_url: str, keys: Keys, folder: Path, this_hour: datetime
) -> None:
    yesterday = period_begin(this_hour, 24 * HOUR) - 24 * HOUR
    noon = yesterday + 12 * HOUR
    stream.add(("before", noon - HOUR / 2), ("after", noon + HOUR / 2), ("today", this_hour))
    stream.do(lambda redis: WrittenRecords(redis, keys).advance(None, noon))
    daily = CdrFiles(
        CdrSettings(folder=folder, formats=("jsonl",)),
        folder,
        redis_url=redis_url,
        keys=keys,
        retention=RETENTION,
    )
    asyncio.run(daily.write_due())
    name = file_name(noon, yesterday + 24 * HOUR, "jsonl")
    assert [path.name for path in folder.iterdir()] == [name]
    assert call_ids(folder / name) == ["after"]


def test_what_may_have_been_trimmed_is_in_no_file_and_said_to_be_missing(
    stream: Stream,
    redis_url: str,
    keys: Keys,
    folder: Path,
    this_hour: datetime,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream.add(("old", this_hour - 5 * HOUR), ("kept", this_hour - HOUR))
    start = this_hour - 6 * HOUR
    stream.do(lambda redis: WrittenRecords(redis, keys).advance(None, start))
    settings = CdrSettings(folder=folder, rotation="hour", formats=("csv",))
    files = CdrFiles(settings, folder, redis_url=redis_url, keys=keys, retention=2 * 3600 + 1800)
    asyncio.run(files.write_due())
    written = in_files(folder, "csv")
    assert written.pop(hour_name(this_hour - HOUR)) == ["kept"]
    assert hour_name(this_hour - 5 * HOUR) not in written
    said = capsys.readouterr().out
    assert "cdr_files_missing" in said
    assert start.isoformat() in said


def test_an_hour_is_not_closed_before_the_margin_has_passed(
    redis_url: str, prefix: str, folder: Path, stream: Stream
) -> None:
    now = datetime.now(UTC)
    begin = period_begin(now, HOUR)
    stream.add(("now", now))
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    assert not folder.exists()
    assert stream.until() in (begin, begin + HOUR)


@pytest.mark.parametrize("period", [HOUR, 24 * HOUR])
def test_a_period_is_a_whole_hour_or_day_of_utc(period: timedelta) -> None:
    moment = datetime(2026, 3, 4, 23, 59, 59, 999999, tzinfo=UTC)
    begin, end = period_begin(moment, period), period_end(moment, period)
    assert begin <= moment < end == datetime(2026, 3, 5, tzinfo=UTC) == begin + period
    assert period_begin(end, period) == end


# --- kill -9


@contextmanager
def killed_writer(redis_url: str, prefix: str, folder: Path) -> Iterator[Callable[[int], str]]:
    """Runs the writer until so many lines of it are done, then kills it: `killed`, or `done`."""
    command = [sys.executable, "-m", "tests.api.cdr_writer", redis_url, prefix, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answer = process.stdin, process.stdout

        def run(lines: int) -> str:
            asked.write(f"{lines}\n")
            asked.flush()
            return answer.readline().strip()

        yield run
        asked.close()


def test_a_writer_killed_after_any_line_leaves_whole_files_and_the_next_one_all_of_them(
    stream: Stream, redis_url: str, prefix: str, folder: Path, keys: Keys, this_hour: datetime
) -> None:
    stream.add(("a", this_hour - HOUR), ("b", this_hour - HOUR / 2))
    asyncio.run(writer(redis_url, prefix, folder).write_due())
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(whole) == 2

    with killed_writer(redis_url, prefix, folder) as run:
        for lines in range(2000):
            for path in folder.iterdir():
                path.unlink()
            stream.do(lambda redis: redis.delete(keys.cdrs_written, keys.cdrs_writer))
            outcome = run(lines)
            finished = {path.name: path.read_bytes() for path in folder.glob("cdr-*")}
            assert finished.items() <= whole.items(), lines
            until = stream.until()
            assert until != this_hour or finished == whole, lines
            if outcome == "done":
                break
            assert outcome == "killed"
            stream.free_lock()
            asyncio.run(writer(redis_url, prefix, folder).write_due())
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole, lines
    assert outcome == "done"
    assert lines > 50


def many(hour: datetime, count: int) -> list[tuple[str, datetime]]:
    return [(f"call-{number}", hour + timedelta(milliseconds=number)) for number in range(count)]


def notifiers(
    redis_url: str, prefix: str, tmp_path: Path, folder: Path, **cdr: Any
) -> tuple[NotifierProcess, NotifierProcess]:
    processes = []
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        changes = {"cdr": {"folder": str(folder), "rotation": "hour", **cdr}}
        processes.append(NotifierProcess(write_config(home, redis_url, prefix, changes=changes)))
    return processes[0], processes[1]


def test_of_two_notifiers_one_goes_on_when_the_other_is_killed_while_it_writes(
    stream: Stream, redis_url: str, prefix: str, tmp_path: Path, folder: Path, this_hour: datetime
) -> None:
    records = many(this_hour - HOUR, 20_000)
    stream.add(*records)
    one, two = notifiers(redis_url, prefix, tmp_path, folder)
    one.start()
    wait_until(lambda: folder.exists() and list(folder.glob(".cdr-*")), what="a file that is being written")
    one.kill()
    assert list(folder.glob(".cdr-*"))
    assert not list(folder.glob("*.jsonl"))
    stream.free_lock()
    two.start()
    try:
        wait_until(lambda: list(folder.glob("*.jsonl")), 60, "both files")
    finally:
        two.stop()
    expected = {hour_name(this_hour - HOUR): [call_id for call_id, _ in records]}
    assert in_files(folder, "csv") == in_files(folder, "jsonl") == expected
    assert len(list(folder.iterdir())) == 2
    assert stream.until() == this_hour


def test_a_notifier_that_stood_still_so_long_that_another_took_over_changes_nothing(
    stream: Stream, redis_url: str, prefix: str, tmp_path: Path, folder: Path, this_hour: datetime
) -> None:
    records = many(this_hour - HOUR, 20_000)
    stream.add(*records)
    one, two = notifiers(redis_url, prefix, tmp_path, folder, formats=["jsonl"])
    one.start()
    wait_until(lambda: folder.exists() and list(folder.glob(".cdr-*")), what="a file that is being written")
    os.kill(one.pid, signal.SIGSTOP)
    assert not list(folder.glob("*.jsonl"))
    stream.free_lock()
    two.start()
    try:
        wait_until(lambda: list(folder.glob("*.jsonl")), 60, "the file")
        (path,) = folder.glob("*.jsonl")
        inode = path.stat().st_ino
        os.kill(one.pid, signal.SIGCONT)
        wait_until(lambda: "cdr_files_not_written" in one.log(), what="that it noticed")
    finally:
        os.kill(one.pid, signal.SIGCONT)
        one.stop()
        two.stop()
    assert [found.stat().st_ino for found in folder.iterdir()] == [inode]
    assert call_ids(path) == [call_id for call_id, _ in records]


def test_two_notifiers_write_each_file_once(
    stream: Stream, redis_url: str, prefix: str, tmp_path: Path, folder: Path, this_hour: datetime
) -> None:
    stream.add(*(("a", this_hour - hours * HOUR) for hours in range(20, 0, -1)))
    both = notifiers(redis_url, prefix, tmp_path, folder)
    for process in both:
        process.start()
    try:
        wait_until(lambda: len(list(folder.glob("cdr-*"))) == 40, 60, "forty files")
    finally:
        for process in both:
            process.stop()
    said = [re.findall(r"cdr-\S+?\.(?:csv|jsonl)", process.log()) for process in both]
    assert sorted(said[0] + said[1]) == sorted(path.name for path in folder.iterdir())
    assert in_files(folder, "csv") == in_files(folder, "jsonl")
    assert all(ids == ["a"] for ids in in_files(folder, "csv").values())


def test_a_folder_that_cannot_be_written_holds_up_no_event(
    stream: Stream, redis_url: str, prefix: str, tmp_path: Path, engine: PlayedEngine, sink: SinkServer
) -> None:
    blocked = tmp_path / "not a folder"
    blocked.write_text("")
    one, _ = notifiers(redis_url, prefix, tmp_path, blocked)

    stream.add(("a", period_begin(datetime.now(UTC), HOUR) - 2 * HOUR))
    one.start()
    try:
        wait_until(lambda: "cdr_files_not_written" in one.log())
        call = engine.create(sink=f"{sink.root}/a")
        engine.connect(call.id)
        engine.end(call.id)
        sink.wait_for("/a", 5)
    finally:
        assert one.terminate() == 0


# --- one for each call


def test_a_call_has_one_record_however_often_reapers_are_killed(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Reapers are killed while they end the calls of a lost engine; then two of them go on at once."""
    engine = PlayedEngine(redis_url, prefix, lost_after=1.0)
    engine.start()
    calls = [engine.create() for _ in range(200)]
    for call in calls:
        engine.connect(call.id)
    engine.die()
    config = write_config(tmp_path, redis_url, prefix, changes={"engine": {"lost_after": 1.0}})

    async def charged() -> list[str]:
        async with connect(redis_url) as redis:
            begin = datetime.now(UTC) - HOUR
            records = CallDetailRecords(redis, Keys(prefix)).between(begin, datetime.now(UTC) + HOUR)
            return [record.call_id async for record in records]

    for ended in (1, 40, 80):
        reaper = NotifierProcess(config)
        reaper.start()
        wait_until(lambda ended=ended: len(engine.run(charged())) >= ended, what=f"{ended} records")  # type: ignore[misc]
        reaper.kill()
    reapers = [NotifierProcess(config) for _ in range(2)]
    for reaper in reapers:
        reaper.start()
    wait_until(lambda: engine.run(engine.registry.lost()) == [], what="the end of all calls")
    for reaper in reapers:
        reaper.stop()
    assert sorted(engine.run(charged())) == sorted(call.id for call in calls)
    engine.stop()
