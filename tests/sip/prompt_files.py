"""Prompts of an enterprise that a test can tell apart: each is a tone of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.support.stack_settings import Overrides

LENGTH = 1.0
"""Seconds of each."""


@dataclass(frozen=True, slots=True)
class Prompt:
    frequency: float
    rate: int = 8000
    channels: int = 1
    subtype: str = "PCM_16"

    def write(self, path: Path) -> None:
        """As a WAV file, 6 dB below full scale."""
        time = np.arange(round(LENGTH * self.rate)) / self.rate
        sound = 0.5 * np.sin(2 * np.pi * self.frequency * time)
        soundfile.write(path, np.column_stack([sound] * self.channels), self.rate, self.subtype)


def announcements(
    folder: Path, prompts: Mapping[str, Prompt], enterprises: Mapping[str, Mapping[str, object]]
) -> Overrides:
    """Settings with these prompts by file name, and what each enterprise (by id) announces."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, prompt in prompts.items():
        prompt.write(folder / f"{name}.wav")
    return {
        "announcements": {"folder": str(folder)},
        "enterprises": {id_: {"announcements": keys} for id_, keys in enterprises.items()},
    }
