"""Private keys that we sign with, kept across restarts so that what is signed stays valid."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from config import ConfigurationError


def load_or_create_signing_key(path: Path) -> ECKey:
    """The ES256 key (JWK) in `path`, made when absent. Raises ConfigurationError."""
    try:
        if not path.exists():
            _create(path)
        key = ECKey.import_key(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigurationError(f"{path}: a signing key cannot be kept there ({error.strerror})") from error
    except (JoseError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: not a private EC key as JWK; remove it to have one made"
        ) from error
    if not key.is_private or key.curve_name != "P-256":
        raise ConfigurationError(f"{path}: not a private P-256 key; remove it to have one made")
    key.ensure_kid()
    return key


def public_keys(key: ECKey) -> KeySet:
    """What others verify with."""
    return KeySet([ECKey.import_key(key.as_dict(private=False))])


def _create(path: Path) -> None:
    """Whole or not at all, and one key even if several processes start at once: the first link wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(key.as_dict(private=True), file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        Path(temporary).unlink()
