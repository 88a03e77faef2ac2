"""Enterprises: what is provisioned for each, who its members are, and which clients act for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis

from config import EnterpriseProfile, Settings
from config.enterprises import secret_context
from state.connection import load_script
from state.keys import Keys
from state.vault import SealedError, Vault

PAGE = 500
"""Hash fields or set members that one round trip reads, about."""


class EnterpriseState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    """It may look at its calls and end them, but place none."""


@dataclass(frozen=True, slots=True)
class Enterprise:
    id: str
    profile: EnterpriseProfile
    state: EnterpriseState = EnterpriseState.ACTIVE
    version: int = 0
    """Raised with each change; 0: not stored."""


class ChangedMeanwhileError(Exception):
    """Somebody else has changed the enterprise since it was read, or has made one of the same id."""


class EnterpriseStore:
    """Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys, vault: Vault) -> None:
        self._redis = redis
        self._keys = keys
        self._vault = vault
        self._save = load_script(redis, "save_enterprise")
        self._kept: dict[str, tuple[list[str], Enterprise]] = {}
        """As read last, with what it was read from."""

    async def get(self, enterprise_id: str) -> Enterprise | None:
        """Raises SealedError when the key that its secrets are encrypted with is not configured any more."""
        names = ("profile", "state", "version")
        fields: Any = await self._redis.hmget(self._keys.enterprise(enterprise_id), names)
        if None in fields:
            return None
        kept = self._kept.get(enterprise_id)
        if kept is None or kept[0] != fields:  # each request asks; validating a profile takes its time
            kept = fields, self._read(enterprise_id, dict(zip(names, fields, strict=True)))
            self._kept[enterprise_id] = kept
        return kept[1]

    async def all(self, *, after: str = "") -> AsyncIterator[Enterprise]:
        """By id; `after`: behind that one."""
        ids: Any = await self._redis.smembers(self._keys.enterprises)
        for enterprise_id in sorted(one for one in ids if one > after):
            if (enterprise := await self.get(enterprise_id)) is not None:
                yield enterprise

    async def save(self, enterprise: Enterprise) -> Enterprise:
        """With the next version. Raises ChangedMeanwhileError if its version is not the stored one."""
        return await self._write(enterprise, {})

    async def provision(self, settings: Settings) -> list[str]:
        """Apply the settings file's enterprises that are new to the store, or changed since; their ids.

        What was changed otherwise since then is replaced, except for state and further members.
        """
        applied = []
        for block in settings.enterprises:
            if await self._apply(block.id, block.profile):
                applied.append(block.id)
            await self.add_members(block.id, dict.fromkeys(block.members, ""), keep_names=True)
        return applied

    async def members(self, enterprise_id: str) -> dict[str, str]:
        """Names by number."""
        key, members = self._keys.members(enterprise_id), {}
        async for number, name in self._redis.hscan_iter(key, count=PAGE):
            members[number] = name
        return dict(sorted(members.items()))

    async def is_member(self, enterprise_id: str, number: str) -> bool:
        answer: Any = await self._redis.hexists(self._keys.members(enterprise_id), number)
        return bool(answer)

    async def add_members(
        self, enterprise_id: str, members: Mapping[str, str], *, keep_names: bool = False
    ) -> int:
        """Names by number; how many were no members yet."""
        key = self._keys.members(enterprise_id)
        numbers = list(members)
        added = 0
        for start in range(0, len(numbers), PAGE):
            async with self._redis.pipeline(transaction=False) as pipe:
                for number in numbers[start : start + PAGE]:
                    (pipe.hsetnx if keep_names else pipe.hset)(key, number, members[number])
                added += sum(int(one) for one in await pipe.execute())
        return added

    async def remove_member(self, enterprise_id: str, number: str) -> bool:
        """False if it was none."""
        answer: Any = await self._redis.hdel(self._keys.members(enterprise_id), number)
        return bool(answer)

    async def enterprise_of(self, client_id: str) -> str | None:
        """The id of the enterprise that a client acts for, if the store says so."""
        answer: Any = await self._redis.hget(self._keys.clients, client_id)
        return None if answer is None else str(answer)

    async def assign_client(self, client_id: str, enterprise_id: str) -> None:
        fields: Any = self._redis.hset(self._keys.clients, client_id, enterprise_id)
        await fields

    async def remove_client(self, client_id: str, enterprise_id: str) -> bool:
        """False if it does not act for this enterprise."""
        if await self.enterprise_of(client_id) != enterprise_id:
            return False
        answer: Any = await self._redis.hdel(self._keys.clients, client_id)
        return bool(answer)

    async def clients(self, enterprise_id: str) -> list[str]:
        """Ids of those that the store assigns to the enterprise."""
        pairs: Any = await self._redis.hgetall(self._keys.clients)
        return sorted(client for client, owner in pairs.items() if owner == enterprise_id)

    async def _apply(self, enterprise_id: str, profile: EnterpriseProfile) -> bool:
        """False if the file says of the enterprise what it said before."""
        while True:
            fields: Any = await self._redis.hgetall(self._keys.enterprise(enterprise_id))
            if fields and self._opened(fields.get("seed")) == profile:
                return False
            state = EnterpriseState(fields.get("state", EnterpriseState.ACTIVE))
            version = int(fields.get("version", 0))
            try:
                await self._write(
                    Enterprise(enterprise_id, profile, state, version), {"seed": self._sealed(profile)}
                )
            except ChangedMeanwhileError:
                continue  # another process applies the same file
            return True

    async def _write(self, enterprise: Enterprise, further: Mapping[str, str]) -> Enterprise:
        fields = {
            "profile": self._sealed(enterprise.profile),
            "state": enterprise.state.value,
            **further,
        }
        version = await self._save(
            keys=[self._keys.enterprise(enterprise.id), self._keys.enterprises],
            args=[enterprise.id, enterprise.version, json.dumps(fields)],
        )
        if version < 0:
            raise ChangedMeanwhileError
        return Enterprise(enterprise.id, enterprise.profile, enterprise.state, version)

    def _read(self, enterprise_id: str, fields: Mapping[str, str]) -> Enterprise:
        profile = EnterpriseProfile.model_validate_json(
            fields["profile"], context=secret_context(self._vault.open)
        )
        return Enterprise(enterprise_id, profile, EnterpriseState(fields["state"]), int(fields["version"]))

    def _sealed(self, profile: EnterpriseProfile) -> str:
        return profile.model_dump_json(context=secret_context(self._vault.seal), exclude_defaults=True)

    def _opened(self, sealed: str | None) -> EnterpriseProfile | None:
        """None also for what cannot be read any more: the file's word replaces it."""
        try:
            return EnterpriseProfile.model_validate_json(
                sealed or "", context=secret_context(self._vault.open)
            )
        except (ValidationError, SealedError):
            return None
