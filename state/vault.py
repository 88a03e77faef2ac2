"""Secrets of others at rest: encrypted where a key is configured (Fernet: AES-128-CBC and HMAC-SHA256)."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from config.settings import PrivacySettings

MARK = "fernet:"
"""Before what is sealed; no access token can begin so when keys are configured, since all are sealed then."""


class SealedError(Exception):
    """None of the configured keys opens it."""


class Vault:
    def __init__(self, settings: PrivacySettings) -> None:
        keys = [Fernet(key.get_secret_value()) for key in settings.keys]
        self._keys = MultiFernet(keys) if keys else None

    def seal(self, secret: str) -> str:
        """What may be stored; the secret itself without a key."""
        if self._keys is None:
            return secret
        return MARK + self._keys.encrypt(secret.encode()).decode()

    def open(self, stored: str) -> str:
        """Raises SealedError. What was stored before there was a key comes back as it is."""
        if not stored.startswith(MARK):
            return stored
        try:
            if self._keys is None:
                raise SealedError
            return self._keys.decrypt(stored.removeprefix(MARK)).decode()
        except InvalidToken as error:
            raise SealedError from error
