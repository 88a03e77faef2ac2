"""The prompts and the hold music, checked at the start and converted to what the bridge plays."""

from __future__ import annotations

import hashlib
import os
import tempfile
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from config import ConfigurationError, Settings

SHIPPED = Path(__file__).parent / "prompts"
"""Made by `native/make_prompts.py`."""
HOLD_MUSIC = SHIPPED / "hold-music.wav"

LONGEST_PROMPT, LONGEST_MUSIC = 60, 600
"""Seconds."""
SHORTEST = 0.1
"""Seconds; pjmedia's player refuses what does not fill its first frame."""

_WAV_FORMATS = ("WAV", "WAVEX", "RF64")
_BLOCK = 65536
"""Frames of a source that are in memory at once."""

Samples = npt.NDArray[np.float32]


class UnplayableError(Exception):
    """A file cannot be played; the message says why and what to do."""


class PromptLibrary:
    """All WAV files of the prompts' folder and the hold music, as 16-bit mono at the bridge's clock rate.

    They are written below `cache`, named by content and rate, so that engines may share it and a changed file
    is converted anew. Raises ConfigurationError, which names the key, the file and the remedy, for a file
    that cannot be played.
    """

    def __init__(self, settings: Settings, *, clock_rate: int, cache: Path) -> None:
        self._clock_rate = clock_rate
        self._cache = cache
        folder = settings.announcements.folder or SHIPPED
        if not folder.is_dir():
            raise ConfigurationError(
                f"announcements.folder: {folder}: no such directory; make it, or leave out the key"
            )
        self._paths = {
            name: self._converted(folder / f"{name}.wav", key, LONGEST_PROMPT)
            for name, key in _prompts(settings, folder).items()
        }
        music = settings.call.hold_music or HOLD_MUSIC
        self.hold_music = self._converted(music, "call.hold_music", LONGEST_MUSIC)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._paths)

    def path(self, name: str) -> Path:
        """Where the converted prompt is. Raises LookupError for one that is not in the folder."""
        if name not in self._paths:
            raise LookupError(f"there is no prompt {name!r}")
        return self._paths[name]

    def _converted(self, source: Path, key: str, longest: int) -> Path:
        try:
            content = _digest(source)
            samples = _read(source, longest, self._clock_rate)
            target = self._cache / f"{content[:32]}-{self._clock_rate}.wav"
            if not target.exists():
                _write(target, samples, self._clock_rate)
        except UnplayableError as error:
            raise ConfigurationError(f"{key}: {source}: {error}") from error
        return target


def _prompts(settings: Settings, folder: Path) -> dict[str, str]:
    """Each prompt with the key that asks for it: the first announcement that names it, else the folder's."""
    named: dict[str, str] = {}
    for index, enterprise in enumerate(settings.enterprises):
        for key, name in enterprise.announcements:
            if isinstance(name, str):
                named.setdefault(name, f"enterprises[{index}].announcements.{key}")
    others = {path.stem: "announcements.folder" for path in folder.glob("*.wav")}
    return others | named


def _digest(source: Path) -> str:
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnplayableError(
            f"cannot be read ({error.strerror}); put a WAV file there, or change the key"
        ) from error


def _read(source: Path, longest: int, rate: int) -> Samples:
    """All of it, mixed to one channel, at `rate`."""
    try:
        with soundfile.SoundFile(source) as sound:
            if sound.format not in _WAV_FORMATS:
                raise UnplayableError(f"is {sound.format}, not WAV; convert it")
            seconds = sound.frames / sound.samplerate
            if seconds > longest:
                raise UnplayableError(f"is {seconds:.1f} s long; cut it to {longest} s at most")
            samples = _resampled(sound, rate)
    except soundfile.LibsndfileError as error:
        raise UnplayableError(f"is not a WAV file ({error.error_string}); convert it") from error
    if len(samples) < SHORTEST * rate:
        raise UnplayableError(f"is empty, or shorter than {SHORTEST} s; record it again")
    if not np.isfinite(samples).all():
        raise UnplayableError("has samples that are not numbers; record it again")
    return samples


def _resampled(sound: soundfile.SoundFile, rate: int) -> Samples:
    resampler = soxr.ResampleStream(sound.samplerate, rate, 1, dtype="float32")
    chunks: list[Samples] = []
    # Not sound.blocks: it wants to seek, which GSM in WAV cannot.
    while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
        chunks.append(resampler.resample_chunk(block.mean(axis=1, dtype=np.float32)))
    chunks.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    return np.concatenate(chunks)


def _write(target: Path, samples: Samples, rate: int) -> None:
    """As pjmedia's player takes it: PCM behind a header of 44 bytes.

    Under a name of its own first, so that another engine never sees half a file.
    """
    # A file of floats may exceed full scale, and so may what a resampler makes of a loud one.
    peak = max(1.0, float(np.abs(samples).max()))
    pcm = np.round(samples * (32767 / peak)).astype("<i2")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as own:
            unfinished = Path(own) / target.name
            with unfinished.open("wb") as file:
                with wave.open(file, "wb") as writer:
                    writer.setparams((1, 2, rate, 0, "NONE", ""))
                    writer.writeframes(pcm.tobytes())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
    except OSError as error:
        raise UnplayableError(
            f"cannot be converted into {target.parent} ({error.strerror}); make room there"
        ) from error
