"""The proof that both parties were recorded: their tones in the recording's spectrum."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

from dialbridge.demo.failure import DemoFailedError

PART = "the recording"
MIN_OVER_FLOOR = 30.0
"""dB that a tone must stand above the floor."""
MAX_DIFFERENCE = 3.0
"""dB between the two tones: both phones play at the same level."""
MAX_DIP = 6.0
"""dB below its mean that a tone may fall for a moment."""
BAND = 15.0
"""Hz to either side of a tone that belong to it."""
WINDOW = 0.5
"""Seconds; in each such part of the recording both tones must be."""
EDGE = 0.2
"""Seconds at either end that are not judged."""

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recording:
    samples: Samples
    """Full scale is 1."""
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class ToneLevels:
    """Of the whole recording; dB of full scale."""

    levels: dict[int, float]
    """By frequency in Hz."""
    floor: float
    """The median of the spectrum."""


def read_wav(content: bytes) -> Recording:
    """16-bit PCM, 8 kHz, mono; raises DemoFailedError for anything else."""
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            form = (file.format, file.subtype, file.samplerate, file.channels)
            samples = file.read(dtype="float64")
    except soundfile.LibsndfileError as error:
        raise DemoFailedError(PART, f"is no sound file: {error}", process="engine") from error
    if form != ("WAV", "PCM_16", 8000, 1):
        raise DemoFailedError(PART, f"is {form} instead of WAV, PCM_16, 8000 Hz, mono", process="engine")
    return Recording(samples, form[2])


def check_length(recording: Recording, connected: float, tolerance: float = 0.5) -> None:
    """It lasts as long as the parties were connected (seconds)."""
    if abs(recording.seconds - connected) > tolerance:
        raise DemoFailedError(
            PART,
            f"lasts {recording.seconds:.2f} s, but the parties were connected for {connected:.2f} s",
            process="engine",
        )


def check_tones(recording: Recording, frequencies: tuple[int, int]) -> ToneLevels:
    """Both tones are in it, from beginning to end and equally loud."""
    edge, size = round(EDGE * recording.rate), round(WINDOW * recording.rate)
    inner = recording.samples[edge : len(recording.samples) - edge]
    if len(inner) < size:
        raise DemoFailedError(PART, f"is only {recording.seconds:.2f} s long", process="engine")
    starts = range(0, len(inner) - size + 1, size // 2)
    parts = [tone_levels(Recording(inner[s : s + size], recording.rate), frequencies) for s in starts]
    means = {f: _mean([part.levels[f] for part in parts]) for f in frequencies}
    for start, part in zip(starts, parts, strict=True):
        for frequency, level in part.levels.items():
            if level - part.floor < MIN_OVER_FLOOR or means[frequency] - level > MAX_DIP:
                raise DemoFailedError(
                    PART,
                    f"lacks the tone of {frequency} Hz at {EDGE + start / recording.rate:.1f} s: "
                    f"{level:.0f} dB, floor {part.floor:.0f} dB",
                    process="engine",
                )
    first, second = means.values()
    if abs(first - second) > MAX_DIFFERENCE:
        raise DemoFailedError(PART, f"has its tones {abs(first - second):.1f} dB apart", process="engine")
    return ToneLevels(means, _mean([part.floor for part in parts]))


def tone_levels(recording: Recording, frequencies: tuple[int, ...]) -> ToneLevels:
    """Levels in the Hann-windowed spectrum; a full-scale sine is 0 dB.

    A tone's power is that of a band: where a packet came late and its phase shifts, it spreads over a few Hz.
    """
    window = np.hanning(len(recording.samples))
    spectrum = np.abs(np.fft.rfft(recording.samples * window))
    bins = np.fft.rfftfreq(len(recording.samples), 1 / recording.rate)
    scale = 2 / math.sqrt(len(window) * float(np.sum(window**2)))
    levels = {
        f: _decibels(scale * math.sqrt(np.sum(spectrum[np.abs(bins - f) <= BAND] ** 2))) for f in frequencies
    }
    return ToneLevels(levels, _decibels(2 / float(window.sum()) * float(np.median(spectrum))))


def _mean(decibels: list[float]) -> float:
    """Of the powers."""
    return 10 * math.log10(sum(10 ** (level / 10) for level in decibels) / len(decibels))


def _decibels(amplitude: float) -> float:
    """Of full scale, and not below what 16 bits can hold."""
    return 20 * math.log10(max(amplitude, 1e-5))
