"""`dialbridge cdr export`, without telephones (with them: tests/end_to_end/test_cdr.py)."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.configuration import write_config
from tests.api.played_engine import PlayedEngine


@pytest.mark.parametrize("style", ["jsonl", "csv"])
def test_a_record_says_which_generation_placed_the_call(
    engine: PlayedEngine, redis_url: str, prefix: str, tmp_path: Path, style: str
) -> None:
    placed = {engine.create().id: "camara", engine.create(generation="v1").id: "v1"}
    for call_id in placed:
        engine.end(call_id)
    config = write_config(tmp_path, redis_url, prefix)
    period = ("--from", "2020-01-01", "--to", "2100-01-01")
    command = [sys.executable, "-m", "dialbridge", "cdr", "export", *period, "--format", style]
    done = subprocess.run(
        [*command, "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    if style == "csv":
        rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    else:
        rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["call_id"]: row["generation"] for row in rows} == placed
