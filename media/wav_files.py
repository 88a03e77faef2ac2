"""WAV files as pjmedia writes them: 16-bit PCM behind a header of 44 bytes, whose lengths come last."""

from __future__ import annotations

import os
import struct
import wave
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
"""RIFF, length of the rest, WAVE, fmt, 16, format, channels, rate, bytes per second, bytes per frame, bits,
"data", its length."""
RIFF_LENGTH_AT, DATA_LENGTH_AT = 4, 40
BLOCK = 65536
"""Frames in memory at once."""

Samples = npt.NDArray[np.int16]


class RecordingError(Exception):
    """The file is not a finished recording."""


def check_finished(path: Path) -> int:
    """The sample rate of a finished file.

    pjmedia writes the lengths into the header last, and only if every write before had succeeded
    (native/patches/wav-writer-full-disk.patch). Raises RecordingError, OSError.
    """
    try:
        with wave.open(str(path), "rb") as reader:
            frames, width = reader.getnframes(), reader.getsampwidth() * reader.getnchannels()
            rate = reader.getframerate()
    except (wave.Error, EOFError) as error:
        raise RecordingError(f"not a WAV file: {error}") from error
    if path.stat().st_size != HEADER.size + frames * width:
        raise RecordingError("the header's length does not match the file's")
    return rate


def repair(path: Path) -> None:
    """Finish the header of a file whose writer died: the lengths follow from the file's, cut to whole frames.

    Raises RecordingError if nothing was recorded, OSError.
    """
    with path.open("r+b") as file:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            raise RecordingError("not even the header was written")
        riff, _, form, fmt, *_, frame, _, data, _ = HEADER.unpack(header)
        if (riff, form, fmt, data) != (b"RIFF", b"WAVE", b"fmt ", b"data") or frame == 0:
            raise RecordingError("not a header of ours")
        length = (file.seek(0, os.SEEK_END) - HEADER.size) // frame * frame
        if length == 0:
            raise RecordingError("nothing was recorded")
        file.truncate(HEADER.size + length)
        for offset, value in ((RIFF_LENGTH_AT, HEADER.size - 8 + length), (DATA_LENGTH_AT, length)):
            file.seek(offset)
            file.write(struct.pack("<I", value))


def combine(sources: Sequence[Path], target: Path, rate: int) -> None:
    """Write mono files side by side, as the target's channels, with `rate` samples per second.

    A shorter one ends in silence. Raises RecordingError, OSError.
    """
    with ExitStack() as stack:
        readers = [stack.enter_context(wave.open(str(source), "rb")) for source in sources]
        if len({(reader.getframerate(), reader.getnchannels()) for reader in readers}) != 1:
            raise RecordingError("the parties' recordings differ in format")
        writer = stack.enter_context(wave.open(str(target), "wb"))
        writer.setparams((len(readers), 2, rate, 0, "NONE", ""))
        for frames in _resampled(_blocks(readers), readers[0].getframerate(), rate, len(readers)):
            writer.writeframesraw(frames.tobytes())


def _resampled(blocks: Iterator[Samples], rate: int, wanted: int, channels: int) -> Iterator[Samples]:
    if rate == wanted:
        yield from blocks
        return
    resampler = soxr.ResampleStream(rate, wanted, channels, dtype="int16")
    for frames in blocks:
        yield resampler.resample_chunk(frames)
    yield resampler.resample_chunk(np.empty((0, channels), np.int16), last=True)


def _blocks(readers: Sequence[wave.Wave_read]) -> Iterator[Samples]:
    """Frames of as many channels as there are readers."""
    while True:
        columns = [np.frombuffer(reader.readframes(BLOCK), "<i2") for reader in readers]
        frames = np.zeros((max(map(len, columns)), len(columns)), np.int16)
        if not len(frames):
            return
        for channel, column in enumerate(columns):
            frames[: len(column), channel] = column
        yield frames
