"""WAV files as the engine's recorder leaves them: finished, or cut short by the death of its process."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config import RecordingChannels
from media.wav_files import DATA_LENGTH_AT, RIFF_LENGTH_AT

Samples = npt.NDArray[np.int16]

LEAVE_A_FOLDER = """
import os, sys
from pathlib import Path
from config import RecordingSettings
from media.recordings import RecordingStore
root, channels, *call_ids = sys.argv[1:]
store = RecordingStore(RecordingSettings(root=Path(root)), "dead-engine-" + str(os.getpid()))
for call_id in call_ids:
    print(*store.live_paths(call_id, channels), sep="\\n")
sys.stdout.flush()
os._exit(9)
"""


def sine(frequency: float, seconds: float, rate: int = 8000) -> Samples:
    times = np.arange(round(seconds * rate)) / rate
    return np.round(8000 * np.sin(2 * np.pi * frequency * times)).astype(np.int16)


def write_finished(path: Path, samples: Samples, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((1, 2, rate, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())


def write_cut_short(path: Path, samples: Samples, rate: int = 8000, *, odd: bytes = b"") -> None:
    """With zeros for lengths; `odd`: half a sample at the end."""
    write_finished(path, samples, rate)
    with path.open("r+b") as file:
        for offset in (RIFF_LENGTH_AT, DATA_LENGTH_AT):
            file.seek(offset)
            file.write(bytes(4))
        file.seek(0, 2)
        file.write(odd)


def read(path: Path) -> tuple[int, Samples]:
    """The sample rate, and one column for each channel."""
    with wave.open(str(path), "rb") as reader:
        frames = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
        return reader.getframerate(), frames.reshape(-1, reader.getnchannels())


def left_by_dead_engine(root: Path, *call_ids: str, channels: RecordingChannels = "mixed") -> list[Path]:
    """Where the recorders of a real process wrote that ended without a word."""
    command = [sys.executable, "-c", LEAVE_A_FOLDER, str(root), channels, *call_ids]
    dead = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert dead.returncode == 9
    return [Path(line) for line in dead.stdout.splitlines()]
