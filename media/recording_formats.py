"""A stored WAV as Ogg or MPEG audio, small enough for what has to carry it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import soundfile

EncodedType = Literal["audio/ogg", "audio/mpeg"]
SUFFIXES: dict[EncodedType, str] = {"audio/ogg": ".ogg", "audio/mpeg": ".mp3"}

BLOCK_SECONDS = 10
OPUS_LOWEST, OPUS_SPAN = 6000, 250_000
"""libsndfile's compression level 1 is 6 kbit/s for each channel, level 0 is 256 kbit/s."""
OPUS_OVERHEAD = 700
"""Bits per second that the Ogg container adds to Opus."""
MPEG_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
"""kbit/s of MPEG-2 and 2.5, layer III; at 8 kHz up to 64."""
MPEG_BITS_PER_SAMPLE = 4
"""What speech gets where there is room."""
MPEG_STEREO_FROM = 24
"""kbit/s; below, two channels are mixed."""


class EncodingStoppedError(Exception):
    """The process ends."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to encode a recording."""

    container: Literal["OGG", "MP3"]
    subtype: Literal["VORBIS", "OPUS", "MPEG_LAYER_III"]
    compression: float
    """libsndfile's compression level, from 0 (large) to 1 (small)."""
    mono: bool = False

    def open(self, target: Path, rate: int, channels: int) -> Any:
        """A soundfile.SoundFile to write to."""
        constant = {"bitrate_mode": "CONSTANT"} if self.container == "MP3" else {}
        return soundfile.SoundFile(
            target,
            "w",
            rate,
            1 if self.mono else channels,
            self.subtype,
            format=self.container,
            compression_level=self.compression,
            **constant,
        )


def encode(
    wav: Path | BinaryIO, target: Path, kind: EncodedType, *, limit: int, stopped: threading.Event
) -> None:
    """Write `wav` to `target` at the best quality that keeps it within `limit` bytes.

    The channels of a very long `dual` recording are mixed; what is too long for any quality exceeds `limit`.
    Raises EncodingStoppedError, OSError, soundfile.SoundFileError.
    """
    with soundfile.SoundFile(wav) as source:
        rate, channels = source.samplerate, source.channels
        seconds = max(1.0, source.frames / rate)
        plan = _mpeg if kind == "audio/mpeg" else _ogg
        *others, smallest = plan(rate, channels, limit * 8 / seconds)
        if any(_write(source, target, encoding, limit, stopped) for encoding in others):
            return
        _write(source, target, smallest, None, stopped)


def _mpeg(rate: int, channels: int, budget: float) -> Iterator[Encoding]:
    """Its size is known before; `budget`: bits per second."""
    most = MPEG_RATES[7] if rate < 16000 else MPEG_RATES[-1]
    wanted = min(MPEG_BITS_PER_SAMPLE * rate * channels, budget) / 1000
    bits = max((r for r in MPEG_RATES if r <= min(wanted, most)), default=MPEG_RATES[0])
    # Level 1 itself is refused: by rounding it falls below the lowest rate.
    level = min((most - bits) / (most - MPEG_RATES[0]), 0.9999)
    yield Encoding("MP3", "MPEG_LAYER_III", level, mono=bits < MPEG_STEREO_FROM)


def _ogg(rate: int, channels: int, budget: float) -> Iterator[Encoding]:
    """What to try, best first; `budget`: bits per second."""
    del rate
    # Vorbis takes a tenth of Opus's time, but needs 18 kbit/s and more.
    yield Encoding("OGG", "VORBIS", 0.7)
    yield Encoding("OGG", "VORBIS", 1.0)
    for mono in (False, True):
        bits = (budget * 0.97 - OPUS_OVERHEAD) / (1 if mono else channels)
        if mono or bits >= OPUS_LOWEST:
            level = 1 - (bits - OPUS_LOWEST) / OPUS_SPAN
            yield Encoding("OGG", "OPUS", min(max(level, 0.9), 1.0), mono)


def _write(
    source: Any, target: Path, encoding: Encoding, limit: int | None, stopped: threading.Event
) -> bool:
    """Whether it stayed within the limit; ends as soon as it does not."""
    source.seek(0)
    with encoding.open(target, source.samplerate, source.channels) as file:
        for frames in source.blocks(BLOCK_SECONDS * source.samplerate, dtype="int16", always_2d=True):
            if stopped.is_set():
                raise EncodingStoppedError
            file.write(frames.mean(axis=1).astype(np.int16) if encoding.mono else frames)
            if limit is not None and target.stat().st_size > limit:
                return False
    return limit is None or target.stat().st_size <= limit
