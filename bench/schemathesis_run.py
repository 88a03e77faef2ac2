"""One run of Schemathesis over one of our OpenAPI documents."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT = 1800.0
"""Seconds; far more than a run takes."""
HOOKS = Path(__file__).with_name("schemathesis_tables.py")

SETTINGS = """\
hooks = {hooks}
headers = {{ Authorization = "Bearer ${{ACCESS_TOKEN}}" }}

[checks]
# An ended call is still there: GET tells how it ended.
use_after_free.enabled = false
# Whether a request is granted depends on more than its schema (a number, a sink and its credential).
positive_data_acceptance.enabled = false
# It does not know OpenID Connect, and the older generation answers 400: `make fuzz` has runs of strangers.
ignored_auth.enabled = false
# The tool's own list, and 412: what the administration says of a header If-Match that is none.
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 415, 422, 428, 429]

"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a run is about."""

    name: str
    document: str
    """Path that serves it."""
    base_path: str
    """Of its paths."""
    paths: str = ".*"
    """Which of them: a regular expression."""
    phases: str = "examples,coverage,fuzzing,stateful"
    """Of Schemathesis; the last one follows links."""


@dataclass(frozen=True, slots=True)
class Values:
    """What the service takes for a parameter, mixed with what Schemathesis makes up."""

    taken: tuple[str, ...]
    probability: float
    """Of taking one of them."""


@dataclass(frozen=True, slots=True)
class Material:
    token: str
    values: Mapping[str, Values] = field(default_factory=dict)
    """By parameter, as Schemathesis names it."""

    def settings(self) -> str:
        text = SETTINGS.format(hooks=json.dumps(str(HOOKS)))
        for number, values in enumerate(self.values.values()):
            text += f"[dictionaries.d{number}]\nvalues = {json.dumps(values.taken)}\n"
        text += "[parameters]\n"
        for number, (parameter, values) in enumerate(self.values.items()):
            text += f'"{parameter}" = {{ dictionary = "d{number}", probability = {values.probability} }}\n'
        return text


@dataclass(slots=True)
class Outcome:
    cases: int = 0
    faults: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By method, path with the document's base path, and status."""

    def add(self, other: Outcome) -> None:
        self.cases += other.cases
        self.faults += other.faults
        self.answers += other.answers


def run(
    subject: Subject,
    *,
    api_root: str,
    paths: list[str],
    material: Material,
    examples: int,
    seed: int,
    folder: Path,
) -> Outcome:
    """`paths`: the document's; `examples`: for each operation."""
    folder = folder.resolve()
    folder.mkdir(parents=True)
    config, report, har = (folder / name for name in ("schemathesis.toml", "report.json", "traffic.har"))
    config.write_text(material.settings())
    with (folder / "output.txt").open("w") as output:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
                *("run", api_root + subject.document, "--url", api_root + subject.base_path),
                *("--include-path-regex", subject.paths, "--phases", subject.phases),
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
    whole_paths = [subject.base_path + path for path in paths]
    outcome = Outcome(found["test_cases"]["generated"], _faults(found), _answers(har, api_root, whole_paths))
    if ended.returncode != 0 and not outcome.faults:
        outcome.faults.append(f"Schemathesis ended with {ended.returncode}: {folder / 'output.txt'}")
    return outcome


def _faults(report: dict[str, Any]) -> list[str]:
    failures = [
        f"{failure['count']} times {failure['title']} ({failure['code']}): {', '.join(failure['operations'])}"
        for failure in report["failures"]
    ]
    return failures + [f"{error['count']} times {error['title']}" for error in report["errors"]]


def _answers(har: Path, api_root: str, paths: list[str]) -> Counter[tuple[str, str, int]]:
    patterns = {path: re.compile(re.sub(r"\{\w+\}", "[^/?]*", path) + r"(\?.*)?") for path in paths}

    def path_of(url: str) -> str:
        rest = url.removeprefix(api_root)
        return next((path for path, pattern in patterns.items() if pattern.fullmatch(rest)), "another path")

    entries = json.loads(har.read_text())["log"]["entries"]
    return Counter(
        (entry["request"]["method"], path_of(entry["request"]["url"]), entry["response"]["status"])
        for entry in entries
    )
