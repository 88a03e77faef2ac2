"""Enterprises in the store: versions, secrets at rest, and what the settings file says."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from redis.asyncio import Redis

from config import EnterpriseProfile, Settings
from config.settings import PrivacySettings
from state.enterprises import ChangedMeanwhileError, Enterprise, EnterpriseState, EnterpriseStore
from state.keys import Keys
from state.vault import SealedError, Vault

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + "b29v" * 8
PROFILE = EnterpriseProfile(number="+442079460000", webhook_secrets=(SecretStr(SECRET),))


def vault(*keys: str) -> Vault:
    return Vault(PrivacySettings(keys=tuple(SecretStr(key) for key in keys)))


def settings(**changes: object) -> Settings:
    return Settings.model_validate(
        {"enterprises": [{"id": "acme", "number": "+442079460000", "webhook_secrets": [SECRET], **changes}]}
    )


@pytest.fixture
def store(redis: Redis, keys: Keys) -> EnterpriseStore:
    return EnterpriseStore(redis, keys, vault())


async def test_of_writers_who_have_seen_the_same_one_wins(store: EnterpriseStore) -> None:
    results = await asyncio.gather(
        *(store.save(Enterprise("acme", PROFILE)) for _ in range(10)), return_exceptions=True
    )
    assert [type(result) for result in results].count(ChangedMeanwhileError) == 9
    found = await store.get("acme")
    assert found is not None
    assert (found.version, found.profile) == (1, PROFILE)
    assert await store.save(found) == Enterprise("acme", PROFILE, version=2)
    with pytest.raises(ChangedMeanwhileError):
        await store.save(found)


async def test_secrets_are_encrypted_with_a_key(redis: Redis, keys: Keys) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    await EnterpriseStore(redis, keys, vault(old)).provision(settings())
    stored = await redis.hgetall(keys.enterprise("acme"))
    assert SECRET not in str(stored)
    found = await EnterpriseStore(redis, keys, vault(new, old)).get("acme")
    assert found is not None
    assert found.profile.webhook_secrets[0].get_secret_value() == SECRET
    with pytest.raises(SealedError):
        await EnterpriseStore(redis, keys, vault(new)).get("acme")


async def test_what_cannot_be_opened_any_more_is_replaced_by_the_files_word(redis: Redis, keys: Keys) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    await EnterpriseStore(redis, keys, vault(old)).provision(settings())
    store = EnterpriseStore(redis, keys, vault(new))
    assert await store.provision(settings()) == ["acme"]
    assert (await store.get("acme")) is not None


async def test_the_file_is_applied_when_it_says_something_new(store: EnterpriseStore) -> None:
    assert await store.provision(settings()) == ["acme"]
    assert await store.provision(settings()) == []
    found = await store.get("acme")
    assert found is not None
    changed = found.profile.model_copy(update={"max_calls": 3})
    await store.save(Enterprise("acme", changed, EnterpriseState.SUSPENDED, found.version))
    assert await store.provision(settings()) == [], "it has said so before"
    assert await store.provision(settings(name="Acme")) == ["acme"]
    found = await store.get("acme")
    assert found is not None
    assert (found.profile.max_calls, found.profile.name) == (None, "Acme")
    assert found.state is EnterpriseState.SUSPENDED


async def test_processes_that_apply_the_same_file_do_it_once(redis: Redis, keys: Keys) -> None:
    stores = [EnterpriseStore(redis, keys, vault()) for _ in range(10)]
    await asyncio.gather(*(store.provision(settings()) for store in stores))
    found = await stores[0].get("acme")
    assert found is not None
    assert found.version == 1


async def test_members_keep_the_names_that_the_file_does_not_know(store: EnterpriseStore) -> None:
    await store.provision(settings(members=["+447700900201", "+447700900202"]))
    assert await store.add_members("acme", {"+447700900202": "Grace"}) == 0
    await store.provision(settings(members=["+447700900201", "+447700900202"]))
    assert await store.members("acme") == {"+447700900201": "", "+447700900202": "Grace"}
    many = {f"+4420{number:08d}": "" for number in range(1200)}
    assert await store.add_members("acme", many) == 1200
    assert len(await store.members("acme")) == 1202


async def test_a_client_acts_for_one_enterprise(store: EnterpriseStore) -> None:
    await store.assign_client("crm", "acme")
    await store.assign_client("crm", "globex")
    assert await store.clients("acme") == []
    assert not await store.remove_client("crm", "acme")
    assert await store.enterprise_of("crm") == "globex"
    assert await store.remove_client("crm", "globex")
    assert await store.enterprise_of("crm") is None
