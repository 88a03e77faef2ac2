"""The capacity follows what the system allows to open."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from engine.file_limit import affordable_capacity


@pytest.mark.parametrize(
    ("wanted", "limit", "capacity"), [(500, 1024, 184), (500, 2600, 500), (500, 1_000_000, 500), (500, 10, 1)]
)
def test_capacity_within_a_limit(wanted: int, limit: int, capacity: int) -> None:
    assert affordable_capacity(wanted, limit) == capacity


@pytest.mark.parametrize(("soft", "hard", "capacity"), [(256, 4096, 500), (256, 1024, 184)])
def test_a_process_raises_its_own_limit_as_far_as_it_may(soft: int, hard: int, capacity: int) -> None:
    script = (
        "import resource\nfrom engine.file_limit import raise_file_limit\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "print(raise_file_limit(500), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1].split() == [str(capacity), str(min(2600, hard))]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != soft
