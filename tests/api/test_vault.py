"""Sinks' access tokens at rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from config.settings import PrivacySettings
from state.vault import SealedError, Vault
from tests.api.configuration import write_config
from tests.api.conftest import BASE_PATH
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess, NotifierProcess
from tests.api.sink_server import SinkServer
from tests.api.test_operations import bearer
from tests.support.waiting import wait_until

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def vault(*keys: str) -> Vault:
    return Vault(PrivacySettings(keys=tuple(SecretStr(key) for key in keys)))


def test_what_is_sealed_shows_nothing_and_opens_again() -> None:
    sealed = vault(OLD).seal("secret-token")
    assert "secret-token" not in sealed
    assert sealed != vault(OLD).seal("secret-token")
    assert vault(OLD).open(sealed) == "secret-token"


def test_keys_rotate() -> None:
    sealed = vault(OLD).seal("secret-token")
    assert vault(NEW, OLD).open(sealed) == "secret-token"
    with pytest.raises(SealedError):
        vault(OLD).open(vault(NEW, OLD).seal("secret-token"))
    with pytest.raises(SealedError):
        vault(NEW).open(sealed)
    with pytest.raises(SealedError):
        vault().open(sealed)


def test_without_a_key_it_is_kept_as_it_is_and_read_when_there_is_one() -> None:
    assert vault().seal("secret-token") == "secret-token"
    assert vault(NEW).open("secret-token") == "secret-token"


def test_a_changed_seal_does_not_open() -> None:
    sealed = vault(OLD).seal("secret-token")
    with pytest.raises(SealedError):
        vault(OLD).open(sealed[:-4] + "AAA=")


def test_a_sink_gets_its_token_and_redis_does_not(
    engine: PlayedEngine, sink: SinkServer, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    def config(*keys: str) -> Path:
        changes: dict[str, Any] = {"privacy": {"keys": list(keys)}}
        return write_config(tmp_path, redis_url, prefix, changes=changes)

    api = ApiProcess(config(OLD))
    api.start()
    credential = {
        "credentialType": "ACCESSTOKEN",
        "accessToken": "very-secret",
        "accessTokenExpiresUtc": "2099-01-01T00:00:00Z",
        "accessTokenType": "bearer",
    }
    body: dict[str, Any] = {"caller": {"number": new_number()}, "callee": {"number": new_number()}}
    body |= {"sink": f"{sink.root}/sealed", "sinkCredential": credential}
    answer = httpx2.post(
        f"{api.root}{BASE_PATH}/calls", json=body, headers=bearer(api.root), trust_env=False, timeout=20
    )
    assert answer.status_code == 201
    kept = engine.record(answer.json()["callId"]).sink_token
    assert kept is not None
    assert "very-secret" not in kept
    api.stop()

    stranger = NotifierProcess(config(NEW))
    stranger.start()
    wait_until(lambda: "sealed with another key" in stranger.log())
    assert sink.received == []
    assert stranger.terminate() == 0
    notifier = NotifierProcess(config(NEW, OLD))
    notifier.start()
    assert sink.wait_for("/sealed", 1)[0].headers["authorization"] == "Bearer very-secret"
    assert notifier.terminate() == 0
    assert "very-secret" not in notifier.log()
