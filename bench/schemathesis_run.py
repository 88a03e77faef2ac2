"""One run of Schemathesis over one of our OpenAPI documents."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT = 1800.0
"""Seconds; far more than a run takes."""

SETTINGS = """\
headers = {{ Authorization = "Bearer ${{ACCESS_TOKEN}}" }}

[dictionaries]
calls = {{ values = {calls} }}
sinks = {{ values = {sinks} }}
numbers = {{ values = {numbers} }}

[parameters]
"path.callId" = {{ dictionary = "calls", probability = 0.3 }}
# Always: nobody else's server gets our events.
"body.sink" = {{ dictionary = "sinks", probability = 1.0 }}
"body.callee.number" = {{ dictionary = "numbers", probability = 0.5 }}

[checks]
# An ended call is still there: GET tells how it ended.
use_after_free.enabled = false
# Whether a request is granted depends on more than its schema (a number, a sink and its credential).
positive_data_acceptance.enabled = false
"""


@dataclass(frozen=True, slots=True)
class Material:
    """What the service takes, mixed with what Schemathesis makes up."""

    token: str
    calls: tuple[str, ...]
    sinks: tuple[str, ...]
    numbers: tuple[str, ...]

    def settings(self) -> str:
        return SETTINGS.format(
            calls=json.dumps(self.calls), sinks=json.dumps(self.sinks), numbers=json.dumps(self.numbers)
        )


@dataclass(slots=True)
class Outcome:
    cases: int = 0
    faults: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By method, path of the document and status."""

    def add(self, other: Outcome) -> None:
        self.cases += other.cases
        self.faults += other.faults
        self.answers += other.answers


def run(
    document_url: str,
    *,
    base_url: str,
    paths: list[str],
    material: Material,
    examples: int,
    seed: int,
    folder: Path,
) -> Outcome:
    """All phases: examples, coverage, fuzzing, stateful by links. `examples`: for each operation."""
    folder = folder.resolve()
    folder.mkdir(parents=True)
    config, report, har = (folder / name for name in ("schemathesis.toml", "report.json", "traffic.har"))
    config.write_text(material.settings())
    with (folder / "output.txt").open("w") as output:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
                *("run", document_url, "--url", base_url),
                *("--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure"),
                *("--report", "json,har", "--report-json-path", str(report), "--report-har-path", str(har)),
            ],
            env={**os.environ, "ACCESS_TOKEN": material.token},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,  # where it keeps what it would try again the next time
            timeout=TIMEOUT,
            check=False,
        )
    if not report.exists() or not har.exists():
        return Outcome(faults=[f"Schemathesis ended with {ended.returncode}: {folder / 'output.txt'}"])
    found = json.loads(report.read_text())
    outcome = Outcome(found["test_cases"]["generated"], _faults(found), _answers(har, base_url, paths))
    if ended.returncode != 0 and not outcome.faults:
        outcome.faults.append(f"Schemathesis ended with {ended.returncode}: {folder / 'output.txt'}")
    return outcome


def _faults(report: dict[str, Any]) -> list[str]:
    failures = [
        f"{failure['count']} times {failure['title']} ({failure['code']}): {', '.join(failure['operations'])}"
        for failure in report["failures"]
    ]
    return failures + [f"{error['count']} times {error['title']}" for error in report["errors"]]


def _answers(har: Path, base_url: str, paths: list[str]) -> Counter[tuple[str, str, int]]:
    patterns = {path: re.compile(re.sub(r"\{\w+\}", "[^/?]*", path) + r"(\?.*)?") for path in paths}

    def path_of(url: str) -> str:
        rest = url.removeprefix(base_url)
        return next((path for path, pattern in patterns.items() if pattern.fullmatch(rest)), "another path")

    entries = json.loads(har.read_text())["log"]["entries"]
    return Counter(
        (entry["request"]["method"], path_of(entry["request"]["url"]), entry["response"]["status"])
        for entry in entries
    )
