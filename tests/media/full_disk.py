"""Records on a small file system that gets full, with the engine's own recorder.

A program: an endpoint is per process. Run it with `unshare --mount`: then nothing is left of the file system.
"""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pjsua2 as pj

from config import RecordingChannels, RecordingSettings
from media.recordings import RecordingStore
from media.wav_files import RecordingError

RATE = 8000
SIZE = 512 * 1024
"""Bytes; the recorder writes 16,000 in a second."""
PHASE = 0.7
"""Seconds; there are three."""
CALL = "c1"


class Endpoint(pj.Endpoint):  # type: ignore[misc]
    """Its bridge's clock runs; no SIP transport."""

    def __init__(self) -> None:
        super().__init__()
        self.removed: set[int] = set()
        self.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.logConfig.level = config.logConfig.consoleLevel = 0
        config.medConfig.clockRate = config.medConfig.sndClockRate = RATE
        config.medConfig.sndAutoCloseTime = -1
        self.libInit(config)
        self.libStart()
        self.audDevManager().setNullDev()

    def onAudioMediaOpCompleted(self, prm: pj.OnAudioMediaOpCompletedParam) -> None:  # noqa: N802
        if prm.opType == pj.PJMEDIA_CONF_OP_REMOVE_PORT:
            self.removed.add(prm.opParam.removeInfo.mediaId)

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.libHandleEvents(10)


def record(store: RecordingStore, channels: RecordingChannels, ballast: Path, situation: str) -> None:
    """A tone; `ballast` is what fills the disk."""
    paths = store.live_paths(CALL, channels)
    endpoint = Endpoint()
    tone = pj.ToneGenerator()
    tone.createToneGenerator(RATE, 1)
    desc = pj.ToneDesc()
    desc.freq1, desc.on_msec, desc.off_msec = 440, 30_000, 0
    tone.play(pj.ToneDescVector([desc]), True)
    recorders = [pj.AudioMediaRecorder() for _ in paths]
    for recorder, path in zip(recorders, paths, strict=True):
        recorder.createRecorder(str(path))
        tone.startTransmit(recorder)
    endpoint.run(PHASE)
    if situation != "roomy":
        fill(ballast)
    endpoint.run(PHASE)
    if situation == "full for a while":
        ballast.unlink()
    endpoint.run(PHASE)
    ports = {recorder.getPortId() for recorder in recorders}
    del recorder
    recorders.clear()
    while not ports <= endpoint.removed:
        endpoint.run(0.01)
    del tone
    endpoint.libDestroy()


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return


def outcome(channels: RecordingChannels, situation: str, folder: Path, keys: list[str]) -> list[str]:
    """What RecordingStore makes of the recording, and the names of all that is stored then."""
    subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)), check=True)
    settings = {"root": folder / "root", "free_space_floor_mb": 0, "keys": keys}
    store = RecordingStore(RecordingSettings.model_validate(settings))
    try:
        if situation == "read-only":
            assert store.has_room()
            subprocess.run(("mount", "-o", "remount,ro", str(folder)), check=True)
            assert not store.has_room()
        record(store, channels, folder / "ballast", situation)
        result = store.keep(CALL, datetime(2026, 3, 4, tzinfo=UTC))
    except (RecordingError, OSError) as error:
        result = f"{type(error).__name__}: {error}"
    return [result, *sorted(path.name for path in (folder / "root").glob("2*/*"))]


if __name__ == "__main__":
    channels, situation, disk, report, *keys = sys.argv[1:]
    Path(report).write_text("\n".join(outcome(channels, situation, Path(disk), keys)))  # type: ignore[arg-type]
