"""`dialbridge demo`, as a stranger runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import soundfile

from tests.support.audio import has_tone


def test_the_demo_shows_one_real_recorded_bridged_call(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "dialbridge", "demo", "--var", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    last = run.stdout.splitlines()[-1]
    told = re.fullmatch(r"demo ok call=([A-Za-z0-9._~:-]+) recording=(\S+)", last)
    assert told is not None, last
    samples, rate = soundfile.read(told[2], dtype="int16")
    assert rate == 8000
    assert has_tone(samples[rate:], 440)
    assert has_tone(samples[rate:], 1000)
    assert Path(told[2]).with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for shown in ("INVITE", "200 OK", "BYE", "callingCaller", "callingCallee", "connected", "disconnected"):
        assert shown in run.stdout
