"""What is in captured audio: levels of tones, gaps, and the two codecs of ITU-T G.711."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE = 8000
"""Samples per second."""

Samples = npt.NDArray[np.int16]
SILENCE = -100.0
"""dBFS of digital silence, as far as these functions can tell."""


def _decode_table() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _encode_table() -> npt.NDArray[np.uint8]:
    linear = np.arange(-32768, 32768, dtype=np.int32)
    magnitude = np.minimum(np.abs(linear), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 15
    sign = np.where(linear < 0, 0x80, 0)
    codes: npt.NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes


def _alaw_decode_table() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55  # even bits are sent inverted
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = ((mantissa << 4) + 8 + np.where(exponent > 0, 256, 0)) << np.maximum(exponent - 1, 0)
    samples: Samples = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)
    return samples


def _alaw_encode_table() -> npt.NDArray[np.uint8]:
    linear = np.arange(-32768, 32768, dtype=np.int32)
    magnitude = np.where(linear < 0, ~linear, linear)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 7, 0)
    mantissa = (magnitude >> np.maximum(exponent + 3, 4)) & 15
    sign = np.where(linear < 0, 0, 0x80)
    codes: npt.NDArray[np.uint8] = ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8)
    return codes


_DECODE = _decode_table()
_ENCODE = _encode_table()
_ALAW_DECODE = _alaw_decode_table()
_ALAW_ENCODE = _alaw_encode_table()


def mulaw_decode(payload: bytes) -> Samples:
    return _DECODE[np.frombuffer(payload, dtype=np.uint8)]


def mulaw_encode(samples: Samples) -> bytes:
    return _ENCODE[samples.astype(np.int32) + 32768].tobytes()


def alaw_decode(payload: bytes) -> Samples:
    return _ALAW_DECODE[np.frombuffer(payload, dtype=np.uint8)]


def alaw_encode(samples: Samples) -> bytes:
    return _ALAW_ENCODE[samples.astype(np.int32) + 32768].tobytes()


def tone(frequency: float, seconds: float, *, dbfs: float = -12.0) -> Samples:
    """A sine whose peak is `dbfs` below full scale."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.round(32767 * 10 ** (dbfs / 20) * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def tone_level(samples: Samples, frequency: float) -> float:
    """Level of one frequency in dBFS (a full-scale sine is 0), by a Hann-windowed correlation.

    Frequencies further away than about 4 / duration do not count; 0.2 s tell 20 Hz apart.
    """
    if not len(samples):
        return SILENCE
    window = np.hanning(len(samples))
    time = np.arange(len(samples)) / RATE
    correlation = np.sum(samples * window * np.exp(-2j * np.pi * frequency * time))
    amplitude = 2 * float(np.abs(correlation)) / max(float(window.sum()), 1e-9) / 32767
    return SILENCE if amplitude <= 0 else max(SILENCE, 20 * float(np.log10(amplitude)))


def mean_tone_level(samples: Samples, frequency: float, *, window: float = 0.4) -> float:
    """Level of a tone whose phase may shift on its way, in dBFS: the mean power over windows (seconds).

    A jitter buffer that drops or conceals a packet shifts the phase; in `tone_level` what comes before it
    and what comes after would partly cancel.
    """
    size = round(window * RATE)
    if len(samples) <= size:
        return tone_level(samples, frequency)
    starts = range(0, len(samples) - size + 1, size // 2)
    powers = [10 ** (tone_level(samples[start : start + size], frequency) / 10) for start in starts]
    return 10 * float(np.log10(np.mean(powers)))


def typical_tone_level(samples: Samples, frequency: float, *, window: float = 0.1) -> float:
    """Level of a tone in dBFS, whatever became of it now and then: the median of windows (seconds)."""
    size = round(window * RATE)
    starts = range(0, max(len(samples) - size, 0) + 1, size // 2)
    return float(np.median([tone_level(samples[start : start + size], frequency) for start in starts]))


def total_level(samples: Samples) -> float:
    """RMS level in dBFS of a sine's scale (a full-scale sine is 0)."""
    if not len(samples):
        return SILENCE
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) * np.sqrt(2) / 32767
    return SILENCE if rms <= 0 else max(SILENCE, 20 * float(np.log10(rms)))


def has_tone(samples: Samples, frequency: float, *, above: float = -30.0) -> bool:
    return mean_tone_level(samples, frequency) > above


def lacks_tone(samples: Samples, frequency: float, *, below: float = -45.0) -> bool:
    """Well apart from `has_tone`: what lies between the two thresholds is neither there nor absent."""
    return tone_level(samples, frequency) < below


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of audio, in seconds from its start."""

    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


def tone_segments(
    samples: Samples, frequency: float, *, above: float = -30.0, window: float = 0.04
) -> list[Segment]:
    """Where a tone is heard, judged in steps of half a `window` (seconds)."""
    size, step = round(window * RATE), round(window * RATE / 2)
    heard = [
        start
        for start in range(0, max(len(samples) - size + 1, 0), step)
        if tone_level(samples[start : start + size], frequency) > above
    ]
    segments: list[Segment] = []
    for start in heard:
        begin, end = start / RATE, (start + size) / RATE
        if segments and begin <= segments[-1].end:
            segments[-1] = Segment(segments[-1].start, end)
        else:
            segments.append(Segment(begin, end))
    return segments


def longest_silence(samples: Samples, *, below: int = 64) -> float:
    """Seconds of the longest run in which no sample's magnitude reaches `below`.

    A tone crosses zero within a sample or two, so for one that goes on this is next to nothing.
    """
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= below)
    edges = np.concatenate(([-1], loud, [len(samples)]))
    return float((np.diff(edges) - 1).max(initial=0)) / RATE
