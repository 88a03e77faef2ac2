"""`make fuzz` with few cases: Schemathesis against the real thing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.fuzz import missing
from bench.fuzz_subjects import SEEN
from bench.schemathesis_run import Outcome


@pytest.mark.timeout(180)
def test_no_answer_differs_from_the_documents(tmp_path: Path) -> None:
    figures = tmp_path / "fuzz.json"
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "bench.fuzz", "--cases", "250"),
            *("--output", str(tmp_path), "--figures", str(figures)),
        ],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(figures.read_text())
    assert (found["verdict"], found["faults"]) == ("ok", [])
    assert found["cases"] >= 250
    assert not [answer for answer in found["answers"] if answer.endswith((" 500", " 503", " 504"))]


def test_what_never_occurred_is_named() -> None:
    outcome = Outcome()
    for (method, path), statuses in SEEN.items():
        outcome.answers.update((method, path, status) for status in statuses)
    assert missing(outcome) == []
    del outcome.answers["DELETE", "/click-to-dial/v0.2/calls/{callId}", 204]
    assert missing(outcome) == ["DELETE /click-to-dial/v0.2/calls/{callId} never answered 204"]
