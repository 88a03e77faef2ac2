"""What a client gets, read as a recording."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import soundfile

from bench.soak_recordings import Recording, read


def wav(*channels: float, seconds: float = 1.0) -> bytes:
    """Constant channels."""
    file = BytesIO()
    samples = np.tile(np.array(channels), (round(8000 * seconds), 1))
    soundfile.write(file, samples, 8000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def test_its_length_and_the_peak_of_each_channel() -> None:
    assert read(wav(0.25, -0.5, seconds=2)) == Recording(2.0, (0.25, 0.5))


def test_an_empty_one_is_silent() -> None:
    assert read(wav(0.0, seconds=0)) == Recording(0.0, (0.0,))


def test_what_is_no_wav_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a WAV file"):
        read(b"<html>")
