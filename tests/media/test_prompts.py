"""Prompts and hold music: what is checked at the start, and what the bridge gets to play."""

from __future__ import annotations

import struct
import tomllib
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from config import ConfigurationError, Settings
from media.prompts import HOLD_MUSIC, SHIPPED, PromptLibrary
from native.make_prompts import MUSIC, TEXTS, hold_music, levelled
from tests.support.audio import tone_level, total_level

EXAMPLE = Path(__file__).parents[2] / "config" / "dialbridge.example.toml"

Samples = npt.NDArray[np.int16]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "prompts"
    path.mkdir()
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def settings_for(folder: Path, hold_music: Path | None = None, **announcements: str) -> Settings:
    enterprise = {"id": "acme", "number": "+447700900100", "announcements": announcements}
    content: dict[str, Any] = {"announcements": {"folder": folder}, "enterprises": [enterprise]}
    if hold_music is not None:
        content["call"] = {"hold_music": hold_music}
    return Settings(**content)


def tone_file(path: Path, *, rate: int = 8000, channels: int = 1, subtype: str = "PCM_16") -> Path:
    """Half a second of 440 Hz, 6 dB below full scale, on every channel."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate // 2) / rate)
    soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate, format="WAV", subtype=subtype)
    return path


def played(path: Path) -> Samples:
    with wave.open(str(path), "rb") as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2")


# --- what comes with the project ---


@pytest.mark.parametrize("clock_rate", [8000, 16000, 48000])
def test_the_shipped_prompts_can_be_played(cache: Path, clock_rate: int) -> None:
    library = PromptLibrary(Settings(), clock_rate=clock_rate, cache=cache)
    assert library.names == {*TEXTS, MUSIC}
    for path in (library.hold_music, *map(library.path, library.names)):
        header = path.read_bytes()[:44]
        riff, _, kind, fmt, size, tag, channels, rate, _, _, bits, data, length = struct.unpack(
            "<4sI4s4sIHHIIHH4sI", header
        )
        assert (riff, kind, fmt, size, data) == (b"RIFF", b"WAVE", b"fmt ", 16, b"data")
        assert (tag, channels, rate, bits) == (1, 1, clock_rate, 16)
        assert path.stat().st_size == 44 + length
        assert total_level(played(path)) > -25


@pytest.mark.parametrize("name", TEXTS)
def test_a_shipped_prompt_is_short_and_begins_at_once(name: str) -> None:
    samples, rate = soundfile.read(SHIPPED / f"{name}.wav", dtype="int16")
    assert rate == 16000
    assert 1 < len(samples) / rate < 6
    sounding = np.flatnonzero(np.abs(samples) > 300) / rate
    assert sounding[0] < 0.2
    assert sounding[-1] > len(samples) / rate - 0.3


def test_the_shipped_hold_music_is_what_the_script_makes() -> None:
    samples, _ = soundfile.read(HOLD_MUSIC, dtype="int16")
    np.testing.assert_allclose(samples, levelled(hold_music()), atol=1)  # sines differ a little by processor


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_shipped_hold_music_can_be_repeated(cache: Path, rate: int) -> None:
    samples = played(PromptLibrary(Settings(), clock_rate=rate, cache=cache).hold_music)
    assert 15 <= len(samples) / rate <= 30
    assert total_level(samples) == pytest.approx(-17, abs=1), "an RMS of -20 dB is a sine of -17"
    seconds = samples[: len(samples) // rate * rate].reshape(-1, rate)
    levels = [total_level(second) for second in seconds]
    assert max(levels) - min(levels) < 6, "it neither swells nor pauses"
    # Around the seam, steps between samples, and the changes of these, are like any others.
    twice = np.concatenate((samples, samples)).astype(np.int64)
    for order in (1, 2, 3):
        steps = np.abs(np.diff(twice, order))
        seam = steps[len(samples) - 40 : len(samples) + 40]
        assert seam.max() <= steps[: len(samples) - 40].max()


def test_the_example_names_shipped_prompts(cache: Path) -> None:
    settings = Settings(**tomllib.loads(EXAMPLE.read_text()))
    named = {name for enterprise in settings.enterprises for name in enterprise.announcements.prompts}
    assert named
    library = PromptLibrary(settings, clock_rate=8000, cache=cache)
    assert all(library.path(name).is_file() for name in named)


# --- conversion ---


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [
        (8000, 1, "PCM_16"),
        (8000, 2, "PCM_U8"),
        (11025, 1, "PCM_24"),
        (16000, 2, "PCM_32"),
        (22050, 1, "FLOAT"),
        (44100, 2, "DOUBLE"),
        (48000, 6, "PCM_16"),
        (96000, 1, "PCM_16"),
        (8000, 1, "ULAW"),
        (8000, 1, "ALAW"),
        (16000, 1, "IMA_ADPCM"),
        (16000, 1, "MS_ADPCM"),
        (8000, 1, "GSM610"),
    ],
)
def test_any_wav_becomes_mono_pcm_at_the_clock_rate(
    folder: Path, cache: Path, rate: int, channels: int, subtype: str
) -> None:
    tone_file(folder / "tone.wav", rate=rate, channels=channels, subtype=subtype)
    path = PromptLibrary(settings_for(folder), clock_rate=8000, cache=cache).path("tone")
    samples = played(path)
    assert 4000 <= len(samples) <= 4600, "GSM and ADPCM fill their last blocks"
    middle = samples[800:3200]
    assert tone_level(middle, 440) == pytest.approx(-6, abs=0.5)
    assert total_level(middle) == pytest.approx(-6, abs=0.5), "and nothing else"


def test_what_the_clock_rate_cannot_carry_is_filtered_out(folder: Path, cache: Path) -> None:
    time = np.arange(24000) / 48000
    sound = 0.25 * np.sin(2 * np.pi * 440 * time) + 0.25 * np.sin(2 * np.pi * 6000 * time)
    soundfile.write(folder / "two.wav", sound, 48000)
    samples = played(PromptLibrary(settings_for(folder), clock_rate=8000, cache=cache).path("two"))
    middle = samples[800:3200]
    assert tone_level(middle, 440) == pytest.approx(-12, abs=0.1)
    assert tone_level(middle, 2000) < -60, "where 6 kHz would fold to"


def test_both_channels_are_heard(folder: Path, cache: Path) -> None:
    time = np.arange(4000) / 8000
    left, right = (0.5 * np.sin(2 * np.pi * frequency * time) for frequency in (440, 1000))
    soundfile.write(folder / "stereo.wav", np.column_stack((left, right)), 8000)
    samples = played(PromptLibrary(settings_for(folder), clock_rate=8000, cache=cache).path("stereo"))
    assert tone_level(samples, 440) == pytest.approx(-12, abs=0.1)
    assert tone_level(samples, 1000) == pytest.approx(-12, abs=0.1)


def test_what_is_too_loud_is_made_softer_rather_than_cut(folder: Path, cache: Path) -> None:
    loud = 4 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    soundfile.write(folder / "loud.wav", loud, 16000, subtype="FLOAT")
    samples = played(PromptLibrary(settings_for(folder), clock_rate=8000, cache=cache).path("loud"))
    assert np.abs(samples.astype(np.int32)).max() == 32767
    assert tone_level(samples[800:3200], 440) == pytest.approx(0, abs=0.3)
    assert tone_level(samples[800:3200], 1320) < -60, "a cut sine has a third harmonic"


def test_a_file_is_converted_once_for_each_content_and_rate(folder: Path, cache: Path) -> None:
    source = tone_file(folder / "tone.wav")
    settings = settings_for(folder)

    def convert(clock_rate: int) -> Path:
        return PromptLibrary(settings, clock_rate=clock_rate, cache=cache).path("tone")

    first = convert(8000)
    written = first.stat()
    again = convert(8000)
    assert again == first
    assert (again.stat().st_ino, again.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert convert(16000) != first
    tone_file(source, rate=16000)
    assert convert(8000) != first
    assert first.exists(), "another engine may still play it"
    assert all(path.suffix == ".wav" for path in cache.iterdir()), "nothing unfinished is left"


def test_hold_music_of_ones_own_is_played(folder: Path, cache: Path, tmp_path: Path) -> None:
    music = tone_file(tmp_path / "music.wav", rate=44100, channels=2)
    library = PromptLibrary(settings_for(folder, music), clock_rate=8000, cache=cache)
    assert tone_level(played(library.hold_music)[800:3200], 440) == pytest.approx(-6, abs=0.5)
    assert library.names == frozenset()


def test_hold_music_may_be_longer_than_a_prompt(folder: Path, cache: Path, tmp_path: Path) -> None:
    music = tmp_path / "music.wav"
    soundfile.write(music, np.full(61 * 100, 0.1), 100)
    library = PromptLibrary(settings_for(folder, music), clock_rate=8000, cache=cache)
    assert len(played(library.hold_music)) == 61 * 8000


# --- what is refused ---


def nothing(path: Path) -> None:
    del path


def directory(path: Path) -> None:
    path.mkdir()


def text(path: Path) -> None:
    path.write_text("no audio at all\n" * 10)


def empty_file(path: Path) -> None:
    path.touch()


def flac(path: Path) -> None:
    soundfile.write(path, np.zeros(800), 8000, format="FLAC")


def no_frames(path: Path) -> None:
    soundfile.write(path, np.zeros(0), 8000)


def click(path: Path) -> None:
    soundfile.write(path, np.zeros(799), 8000)


def not_numbers(path: Path) -> None:
    soundfile.write(path, np.full(800, np.nan), 8000, subtype="FLOAT")


def too_long(path: Path) -> None:
    soundfile.write(path, np.zeros(601 * 100), 100)


REFUSED = [
    (nothing, "cannot be read (No such file or directory); put a WAV file there"),
    (directory, "cannot be read (Is a directory); put a WAV file there"),
    (text, "is not a WAV file (Format not recognised.); convert it"),
    (empty_file, "is not a WAV file"),
    (flac, "is FLAC, not WAV; convert it"),
    (no_frames, "is empty, or shorter than 0.1 s; record it again"),
    (click, "is empty, or shorter than 0.1 s; record it again"),
    (not_numbers, "has samples that are not numbers; record it again"),
    (too_long, "is 601.0 s long; cut it to "),
]


@pytest.mark.parametrize(("make", "complaint"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_prompt_that_cannot_be_played_is_refused(
    folder: Path, cache: Path, make: Any, complaint: str
) -> None:
    path = folder / "greeting.wav"
    make(path)
    with pytest.raises(ConfigurationError) as refusal:
        PromptLibrary(settings_for(folder, connect="greeting"), clock_rate=8000, cache=cache)
    assert str(refusal.value).startswith(f"enterprises[0].announcements.connect: {path}: {complaint}")


@pytest.mark.parametrize(("make", "complaint"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_hold_music_that_cannot_be_played_is_refused(
    folder: Path, cache: Path, tmp_path: Path, make: Any, complaint: str
) -> None:
    path = tmp_path / "music.wav"
    make(path)
    with pytest.raises(ConfigurationError) as refusal:
        PromptLibrary(settings_for(folder, path), clock_rate=8000, cache=cache)
    assert str(refusal.value).startswith(f"call.hold_music: {path}: {complaint}")


def test_a_prompt_that_nobody_names_is_checked_too(folder: Path, cache: Path) -> None:
    text(folder / "spare.wav")
    with pytest.raises(ConfigurationError, match=r"^announcements\.folder: .*spare\.wav: is not a WAV file"):
        PromptLibrary(settings_for(folder), clock_rate=8000, cache=cache)


def test_the_key_names_the_enterprise(folder: Path, cache: Path) -> None:
    tone_file(folder / "tone.wav")
    enterprises: Any = [
        {"id": "acme", "number": "+447700900100", "announcements": {"connect": "tone"}},
        {"id": "bell", "number": "+447700900101", "announcements": {"no_answer": "sorry"}},
    ]
    announcements: Any = {"folder": folder}
    settings = Settings(announcements=announcements, enterprises=enterprises)
    with pytest.raises(
        ConfigurationError, match=r"^enterprises\[1\]\.announcements\.no_answer: .*sorry\.wav: "
    ):
        PromptLibrary(settings, clock_rate=8000, cache=cache)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^announcements\.folder: .*nowhere: no such directory"):
        PromptLibrary(settings_for(tmp_path / "nowhere"), clock_rate=8000, cache=cache)


def test_a_cache_that_cannot_be_written_is_reported(folder: Path, tmp_path: Path) -> None:
    tone_file(folder / "tone.wav")
    occupied = tmp_path / "occupied"
    occupied.touch()
    with pytest.raises(ConfigurationError, match=r"tone\.wav: cannot be converted into .*occupied"):
        PromptLibrary(settings_for(folder), clock_rate=8000, cache=occupied)


def test_an_unknown_prompt_is_a_lookup_error(cache: Path) -> None:
    library = PromptLibrary(Settings(), clock_rate=8000, cache=cache)
    with pytest.raises(LookupError, match="'nonsense'"):
        library.path("nonsense")
