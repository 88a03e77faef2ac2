"""`dialbridge recordings`: what is stored, encrypted anew."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from config import ConfigurationError, Settings
from media.recordings import RecordingStore


@dataclass(frozen=True, slots=True)
class Rekeyed:
    changed: int
    failed: int


def rekey(settings: Settings) -> Rekeyed:
    """Encrypt with the first key what is not, and name what cannot be on standard error.

    Raises ConfigurationError without a key pair that comes first, OSError.
    """
    store = RecordingStore(settings.recording)
    if not store.vault.opens_what_it_seals:
        raise ConfigurationError(
            "recording.keys: its first key must be an AGE-SECRET-KEY-1...; see config/dialbridge.example.toml"
        )
    changed = failed = 0
    for name, problem in store.rekey():
        if problem is None:
            changed += 1
        else:
            failed += 1
            print(f"{name}: {problem}", file=sys.stderr)
    return Rekeyed(changed, failed)
