"""A recording as its client gets it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import soundfile


@dataclass(frozen=True, slots=True)
class Recording:
    seconds: float
    peaks: tuple[float, ...]
    """Of each channel; 1.0: full scale."""


def read(content: bytes) -> Recording:
    """Raises ValueError for what is no WAV file."""
    try:
        samples, rate = soundfile.read(BytesIO(content), dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"not a WAV file: {error}") from error
    peaks = np.abs(samples.astype(np.int32)).max(axis=0, initial=0) / 32768
    return Recording(len(samples) / rate, tuple(float(peak) for peak in peaks))
