"""A disk that is full or read-only: the engine's own recorder on a small file system."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

NAMESPACE = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))

pytestmark = pytest.mark.skipif(
    subprocess.run((*NAMESPACE, "true"), stderr=subprocess.DEVNULL, check=False).returncode != 0,
    reason="this user may not mount a file system, not even in a namespace of their own",
)


def kept(channels: str, situation: str, folder: Path, keys: list[str]) -> list[str]:
    """What full_disk.py says."""
    disk, outcome = folder / "disk", folder / "outcome"
    disk.mkdir()
    command = (*NAMESPACE, sys.executable, "-m", "tests.media.full_disk", channels, situation)
    child = subprocess.run(
        (*command, str(disk), str(outcome), *keys), capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    return outcome.read_text().splitlines()


with_and_without_key = pytest.mark.parametrize(
    "keys", [[], [str(pyrage.x25519.Identity.generate())]], ids=["plain", "encrypted"]
)


@pytest.mark.parametrize("channels", ["mixed", "dual"])
@with_and_without_key
def test_a_disk_with_room(tmp_path: Path, channels: str, keys: list[str]) -> None:
    assert kept(channels, "roomy", tmp_path, keys) == ["2026-03-04/c1.wav", "c1.wav"]


@pytest.mark.parametrize("situation", ["full", "full for a while"])
@with_and_without_key
@pytest.mark.parametrize(
    ("channels", "left"),
    [
        ("mixed", ["c1.incomplete.wav"]),
        ("dual", ["c1.callee.incomplete.wav", "c1.caller.incomplete.wav"]),
    ],
)
def test_a_recording_with_gaps_is_not_taken_for_a_whole_one(
    tmp_path: Path, situation: str, channels: str, left: list[str], keys: list[str]
) -> None:
    """Also when there was room again at the end, so that the file looks finished."""
    outcome, *stored = kept(channels, situation, tmp_path, keys)
    assert outcome.startswith("RecordingError: ")
    assert stored == left


@with_and_without_key
def test_a_read_only_disk_has_no_room_and_refuses_the_recorder(tmp_path: Path, keys: list[str]) -> None:
    (outcome,) = kept("mixed", "read-only", tmp_path, keys)
    assert outcome.startswith("OSError: [Errno 30] Read-only file system")
