"""The proof by spectrum: it must fail for every recording that does not hold both tones."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.sound import check_length, check_tones, read_wav
from tests.support.audio import RATE, Samples, mulaw_decode, mulaw_encode, tone

TONES = (440, 1000)


def wav(samples: Samples, *, rate: int = RATE, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format="WAV")
    return file.getvalue()


def mixed(first: float = -12, second: float = -12, seconds: float = 4.0) -> Samples:
    return tone(440, seconds, dbfs=first) + tone(1000, seconds, dbfs=second)


def test_both_tones_pass() -> None:
    heard = mulaw_decode(mulaw_encode(mixed()))
    levels = check_tones(read_wav(wav(heard)), TONES).levels
    assert levels == {440: pytest.approx(-12, abs=0.3), 1000: pytest.approx(-12, abs=0.3)}


@pytest.mark.parametrize("samples", [160, round(RATE / 440 / 2)], ids=["a packet", "the opposite phase"])
@pytest.mark.parametrize("at", [1.95, 2.0, 2.1])
def test_a_shifted_phase_does_no_harm(samples: int, at: float) -> None:
    one, cut = tone(440, 5.0), round(at * RATE)
    shifted = np.concatenate([one[:cut], one[cut + samples : 4 * RATE + samples]]) + tone(1000, 4.0)
    check_tones(read_wav(wav(shifted)), TONES)


def silence_from(samples: Samples, begin: float, end: float) -> Samples:
    changed = samples.copy()
    changed[round(begin * RATE) : round(end * RATE)] = 0
    return changed


@pytest.mark.parametrize(
    "samples",
    [
        tone(440, 4.0),
        tone(1000, 4.0),
        tone(470, 4.0) + tone(1030, 4.0),
        mixed(second=-24),
        mixed(first=-70),
        np.zeros(4 * RATE, dtype=np.int16),
        silence_from(mixed(), 1.0, 1.5),
        silence_from(tone(440, 4.0), 2.0, 4.0) + tone(1000, 4.0),
        mixed(seconds=0.3),
        np.random.default_rng(1).integers(-9000, 9000, 4 * RATE).astype(np.int16),
    ],
    ids=["no 1000", "no 440", "others", "one low", "one gone", "silence", "gap", "half", "short", "noise"],
)
def test_anything_else_fails(samples: Samples) -> None:
    with pytest.raises(DemoFailedError):
        check_tones(read_wav(wav(samples)), TONES)


def test_the_length_is_the_connected_time() -> None:
    recording = read_wav(wav(mixed(seconds=4.0)))
    check_length(recording, 4.2)
    with pytest.raises(DemoFailedError, match=r"lasts 4\.00 s"):
        check_length(recording, 5.2)


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", wav(mixed(), rate=16000), wav(mixed(), subtype="ULAW"), wav(np.zeros((80, 2), np.int16))],
    ids=["empty", "torn", "16 kHz", "mu-law", "stereo"],
)
def test_another_form_fails(content: bytes) -> None:
    with pytest.raises(DemoFailedError):
        read_wav(content)
