"""Errors and events of a log, as the product's processes write it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.log_lines import LogLines

PROGRAM = """
import structlog
from config.logs import configure_logging
from config.settings import LogSettings

configure_logging(LogSettings(format="console"), "engine")
log = structlog.get_logger("engine").bind(call_id="c")
log.info("call moved on", by="LegAnswered", phase="connected", leg="callee", q850=None)
log.info("hold", leg="caller")
log.info("the word error is no error", told="[error    ] neither")
log.warning("no RTP", leg="caller")
for _ in range(2):
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("an action failed", action="Dial")
log.error("the recording could not be stored and its message is long", error="No space left on device")
log.error("pjsip", detail="Error updating media call00:0: it's broken (PJMEDIA_EINVALIDPT)")
log.error("pjsip", detail="Error updating media call17:3: it's broken (PJMEDIA_EINVALIDPT)")
log.error("pjsip", detail="RTP socket bind() at 127.0.0.1:22286 error: Address already in use", left_out=1)
log.info("hold", leg="callee")
"""
UNCAUGHT = "raise SystemError('nobody catches this')"


def logged(folder: Path, *programs: str) -> LogLines:
    log = folder / "engine.log"
    with log.open("ab") as file:
        for program in programs:
            subprocess.run([sys.executable, "-c", program], stderr=file, check=False)
    return LogLines.of(log)


def test_errors_are_counted_by_process_and_event(tmp_path: Path) -> None:
    assert logged(tmp_path, PROGRAM).errors == {
        "engine: an action failed": 2,
        "engine: the recording could not be stored and its message is long": 1,
        "engine: pjsip: Error updating media call#:#: it's broken (PJMEDIA_EINVALIDPT)": 2,
    }


def test_what_no_process_explained_is_an_error(tmp_path: Path) -> None:
    assert logged(tmp_path, "pass", PROGRAM, UNCAUGHT).errors["a traceback"] == 1


def test_events_are_counted_with_the_phase(tmp_path: Path) -> None:
    events = logged(tmp_path, PROGRAM).events
    assert (events["call moved on: connected"], events["hold"], events["no RTP"]) == (1, 2, 1)
