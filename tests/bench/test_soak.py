"""`make soak`, for some seconds, against the real thing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ANSWERING = ("00", "01", "02", "20", "22", "23", "26")
QUICK = "303"
"""A seed by which no call is deleted while a phone rings.

PJSIP keeps an INVITE that was refused or cancelled for another 32 s (timer D; RFC 3261, section 17.1.1.2),
and a BYE that it has got (timer J, section 17.2.2). So the phones that refuse or hang up are missing, too.
"""
ALL_RECORDED = "15"
"""A seed by which the first three calls are recorded."""


class SoakRun:
    def __init__(
        self, folder: Path, *options: str, phones: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._figures = folder / "soak.json"
        chosen = [argument for ending in phones for argument in ("--phone", ending)]
        self.ended = subprocess.run(
            [
                *(sys.executable, "-m", "bench.soak", *options, "--longest", "10", *chosen),
                *("--output", str(folder), "--figures", str(self._figures)),
            ],
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.lines = self.ended.stdout.splitlines()

    @property
    def figures(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self._figures.read_text())
        return content


def test_a_short_soak_of_the_real_thing_is_ok(tmp_path: Path) -> None:
    run = SoakRun(tmp_path, "--minutes", "0.05", "--rate", "4", "--seed", QUICK, phones=ANSWERING)
    assert run.ended.returncode == 0, run.ended.stdout + run.ended.stderr
    figures = run.figures
    assert run.lines[-1].startswith(f"soak ok: {figures['calls']} calls")
    assert figures["verdict"] == "ok"
    assert figures["calls"] == 14  # 12, and one of each client before them
    assert sum(figures["endings"].values()) == figures["calls"]
    assert not any(figures["left"].values())
    assert figures["recordings"] == figures["recording_results"]["success"] > 0
    assert figures["situations"]["dual"] > 0
    assert figures["situations"]["whispers"] > 0
    assert figures["engine_cpu_ms_per_call"] > 0


def test_a_soak_fails_when_the_product_refuses_a_call(tmp_path: Path) -> None:
    """Of which each was to be recorded, on a disk without room."""
    full = {"DIALBRIDGE_RECORDING__FREE_SPACE_FLOOR_MB": str(10**9)}
    options = ("--minutes", "0.05", "--rate", "1", "--seed", ALL_RECORDED)
    run = SoakRun(tmp_path, *options, phones=("01", "02"), environment=full)
    assert run.ended.returncode == 1
    assert run.lines[-2] == "FAULT 5 times POST 422"
    assert run.lines[-1].startswith("soak FAILED: 1 faults")
    assert run.figures["verdict"] == "FAILED"
    assert run.figures["faults"] == ["5 times POST 422"]
