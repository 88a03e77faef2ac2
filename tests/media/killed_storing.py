"""Stores a recording again and again, killed one step later each time, until nothing is left to kill.

A program, without threads: it forks. A step is whatever opens, renames or removes a file.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config import RecordingSettings
from media.recordings import RecordingStore
from tests.media.wav_samples import sine, write_finished

STEPS = ("open", "os.")
SPOKEN, ANSWERED = sine(440, 1.0), sine(1000, 0.5)


def store(settings: RecordingSettings, channels: Any, kill_at: int) -> None:
    """What the engine does at a call's end."""
    recordings = RecordingStore(settings)
    lives = recordings.live_paths("c1", channels)
    for live, samples in zip(lives, (SPOKEN, ANSWERED), strict=False):
        write_finished(live, samples)
    at = datetime.fromtimestamp(lives[0].stat().st_mtime, UTC)
    steps = itertools.count()

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(STEPS) and str(settings.root) in str(arguments) and next(steps) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
    recordings.keep("c1", at)
    recordings.discard_live("c1")
    recordings.close()


def main(folder: Path, channels: str, keys: list[str]) -> None:
    for step in itertools.count():
        settings = RecordingSettings.model_validate({"root": folder / str(step), "keys": keys})
        child = os.fork()
        if child == 0:
            store(settings, channels, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
