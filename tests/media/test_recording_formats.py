"""Encoded recordings fit where they have to, and sound like the WAV."""

from __future__ import annotations

import threading
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from config import Settings
from media.recording_formats import EncodedType, EncodingStoppedError, encode
from tests.media.wav_samples import Samples, sine
from tests.support.audio import has_tone, lacks_tone

ROOMY = 15_728_640
"""Bytes whose base64 has the 20,971,520 characters of the API's JSON."""
KINDS: tuple[EncodedType, ...] = ("audio/ogg", "audio/mpeg")


def write(path: Path, *channels: Samples, rate: int) -> Path:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((len(channels), 2, rate, 0, "NONE", ""))
        writer.writeframes(np.column_stack(channels).tobytes())
    return path


def talk(seconds: float, rate: int) -> Samples:
    """Harder to encode than any voice: tones in noise that swells and fades like syllables."""
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(1).standard_normal(len(times))
    sound = np.sin(2 * np.pi * 150 * times) + 0.5 * np.sin(2 * np.pi * 600 * times) + 0.3 * noise
    samples: Samples = np.round(6000 * sound * (0.5 + 0.5 * np.sin(6 * np.pi * times))).astype(np.int16)
    return samples


def encoded(wav: Path, kind: EncodedType, limit: int = ROOMY) -> Path:
    target = wav.with_suffix(".encoded")
    encode(wav, target, kind, limit=limit, stopped=threading.Event())
    return target


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_both_channels_are_kept_with_rate_and_length(tmp_path: Path, rate: int, kind: EncodedType) -> None:
    wav = write(tmp_path / "c1.wav", sine(440, 25.0, rate), sine(1000, 25.0, rate), rate=rate)
    samples, found = soundfile.read(encoded(wav, kind), dtype="int16")
    assert found == rate
    assert abs(len(samples) / rate - 25.0) < 0.2
    left, right = (samples[rate : 5 * rate : rate // 8000, channel] for channel in (0, 1))
    for channel, own, other in ((left, 440, 1000), (right, 1000, 440)):
        assert has_tone(channel, own, above=-20)
        assert lacks_tone(channel, other, below=-30)  # what joint stereo lets over


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (8000, 2), (16000, 1), (16000, 2)])
def test_a_call_of_the_longest_duration_fits_the_api(
    tmp_path: Path, rate: int, channels: int, kind: EncodedType
) -> None:
    """In proportion: one minute in the share of a minute."""
    share = 60 / Settings().call.max_duration
    wav = write(tmp_path / "c1.wav", *[talk(60, rate)] * channels, rate=rate)
    target = encoded(wav, kind, int(ROOMY * share))
    assert target.stat().st_size <= ROOMY * share
    samples, found = soundfile.read(target)
    assert abs(len(samples) / found - 60) < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_longer_than_that_becomes_as_small_as_it_can(tmp_path: Path, kind: EncodedType) -> None:
    wav = write(tmp_path / "c1.wav", talk(20, 8000), talk(20, 8000), rate=8000)
    target = encoded(wav, kind, 1000)
    assert 1000 < target.stat().st_size < 25_000
    assert soundfile.info(target).channels == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_recording(tmp_path: Path, kind: EncodedType) -> None:
    target = encoded(write(tmp_path / "c1.wav", np.zeros(0, np.int16), rate=8000), kind)
    assert target.stat().st_size < 10_000


def test_it_can_be_stopped(tmp_path: Path) -> None:
    wav = write(tmp_path / "c1.wav", talk(20, 8000), rate=8000)
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(EncodingStoppedError):
        encode(wav, tmp_path / "c1.ogg", "audio/ogg", limit=ROOMY, stopped=stopped)


def test_what_is_no_wav_is_not_encoded(tmp_path: Path) -> None:
    (tmp_path / "c1.wav").write_bytes(b"no audio")
    with pytest.raises(soundfile.SoundFileError):
        encoded(tmp_path / "c1.wav", "audio/ogg")
