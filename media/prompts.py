"""The prompts and the hold music, checked at the start and converted to what the bridge plays."""

from __future__ import annotations

import hashlib
import os
import tempfile
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
"""Seconds. Nobody listens to a longer prompt, and a player keeps nothing but its buffer in memory."""

_WAV_FORMATS = ("WAV", "WAVEX", "RF64")
_BLOCK = 65536
"""Frames of a source that are in memory at once."""

Samples = npt.NDArray[np.float32]


class PromptLibrary:
    """All WAV files of the prompts' folder and the hold music, as 16-bit mono at the bridge's clock rate.

    They are written below `cache`, by content and rate, so that engines may share it and a changed file is converted
    anew. pjmedia's player takes such files as they are: it wants PCM behind a header of 44 bytes.

    Raises ConfigurationError, which names the key, the file and the remedy, for a file that cannot be played.
    """

    def __init__(self, settings: Settings, *, clock_rate: int, cache: Path) -> None:
        folder = settings.announcements.folder or SHIPPED
        if not folder.is_dir():
            raise ConfigurationError(
                f"announcements.folder: {folder}: no such directory; make it, or leave the key out for the prompts "
                "that come with Dialbridge"
            )
        self._paths = {
            name: _convert(folder / f"{name}.wav", key, LONGEST_PROMPT, clock_rate, cache)
            for name, key in _prompts(settings, folder).items()
        }
        music = settings.call.hold_music or HOLD_MUSIC
        self.hold_music = _convert(music, "call.hold_music", LONGEST_MUSIC, clock_rate, cache)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._paths)

    def path(self, name: str) -> Path:
        """Where the converted prompt is. Raises LookupError for one that is not in the folder."""
        found = self._paths.get(name)
        if found is None:
            raise LookupError(f"there is no prompt {name!r}")
        return found


def _prompts(settings: Settings, folder: Path) -> dict[str, str]:
    """Each prompt with the key that asks for it: the first announcement that names it, else the folder's."""
    named: dict[str, str] = {}
    for index, enterprise in enumerate(settings.enterprises):
        for key, name in enterprise.announcements:
            if isinstance(name, str):
                named.setdefault(name, f"enterprises[{index}].announcements.{key}")
    found = {path.stem: "announcements.folder" for path in folder.glob("*.wav")}
    return found | named


def _convert(source: Path, key: str, longest: float, rate: int, cache: Path) -> Path:
    try:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with soundfile.SoundFile(source) as sound:
            if sound.format not in _WAV_FORMATS:
                raise ConfigurationError(f"{key}: {source}: is {sound.format}, not WAV; convert it")
            if sound.frames > longest * sound.samplerate:
                raise ConfigurationError(
                    f"{key}: {source}: is {sound.frames / sound.samplerate:.0f} s long; "
                    f"cut it to {longest:.0f} s"
                )
            target = cache / f"{digest[:32]}-{rate}.wav"
            if target.exists():
                return target
            samples = _resampled(sound, rate)
    except OSError as error:
        raise ConfigurationError(
            f"{key}: {source}: cannot be read ({error.strerror}); put a WAV file there, or change the key"
        ) from error
    except soundfile.LibsndfileError as error:
        raise ConfigurationError(
            f"{key}: {source}: not a WAV file ({error.error_string}); convert it"
        ) from error
    if not len(samples):
        raise ConfigurationError(f"{key}: {source}: is empty; record it again")
    if not np.isfinite(samples).all():
        raise ConfigurationError(f"{key}: {source}: has samples that are no numbers; record it again")
    try:
        _write(target, samples, rate)
    except OSError as error:
        raise ConfigurationError(
            f"{key}: {source}: its conversion cannot be written to {cache} ({error.strerror}); make room there"
        ) from error
    return target


def _resampled(sound: soundfile.SoundFile, rate: int) -> Samples:
    """All of it, mixed to one channel, at `rate`."""
    resampler = soxr.ResampleStream(sound.samplerate, rate, 1, dtype="float32")
    chunks = [
        resampler.resample_chunk(block.mean(axis=1, dtype=np.float32))
        for block in sound.blocks(_BLOCK, dtype="float32", always_2d=True)
    ]
    chunks.append(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    return np.concatenate(chunks)


def _write(target: Path, samples: Samples, rate: int) -> None:
    """Under a name of its own first, so that another engine never sees half a file."""
    # Files of floats may exceed full scale, and so may what a resampler makes of loud ones.
    peak = max(1.0, float(np.abs(samples).max()))
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".wav")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            pcm = np.round(samples * (32767 / peak)).astype(np.int16)
            soundfile.write(file, pcm, rate, format="WAV", subtype="PCM_16")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
