"""What an administrator does to enterprises, members and clients, by REST or by command; audited."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from api.enterprise_directory import EnterpriseDirectory
from api.errors import InvalidArgumentError
from api.sink_addresses import SinkAddresses
from api.sinks import check_sink
from config import EnterpriseProfile
from config.enterprises import EnterpriseId, secret_context
from config.section import E164
from config.settings import NotifierSettings
from state.audit import AuditedAction, AuditLog
from state.enterprises import ChangedMeanwhileError, Enterprise, EnterpriseState

NAME_LIMIT = 200
"""Characters of a member's name."""

_NUMBER: TypeAdapter[str] = TypeAdapter(E164)
_NAME: TypeAdapter[str] = TypeAdapter(Annotated[str, Field(max_length=NAME_LIMIT)])
_ID: TypeAdapter[str] = TypeAdapter(EnterpriseId)
_PLAIN = secret_context(lambda secret: secret)


class ProvisioningError(Exception):
    """What is asked for cannot be; the message names the key and says why."""


class UnknownError(ProvisioningError):
    """There is no such enterprise, member or client."""


class Provisioning:
    """Every method may raise one of `state.connection.UNREACHABLE`, SealedError or ProvisioningError.

    One that changes something may raise ChangedMeanwhileError.
    """

    def __init__(
        self,
        directory: EnterpriseDirectory,
        audit: AuditLog,
        *,
        actor: str,
        notifier: NotifierSettings,
        strict: bool = False,
    ) -> None:
        """`actor`: who does it, for the audit; `notifier`: says where sinks may be.

        `strict`: a value must be of the JSON type that its key has; a command line has nothing but texts.
        """
        self._directory = directory
        self._notifier = notifier
        self._audit = audit
        self._actor = actor
        self._strict = strict

    async def all(self, *, after: str = "") -> AsyncIterator[Enterprise]:
        """By id; `after`: behind that one."""
        store = await self._directory.store()
        async for enterprise in store.all(after=after):
            yield enterprise

    async def get(self, enterprise_id: str) -> Enterprise:
        store = await self._directory.store()
        enterprise = await store.get(enterprise_id)
        if enterprise is None:
            raise UnknownError(f"there is no enterprise {enterprise_id[:64]!r}")
        return enterprise

    async def replace(
        self, enterprise_id: str, content: Mapping[str, Any], version: int | None = None
    ) -> Enterprise:
        """Make the enterprise, or give it a new profile; `content` may hold `state` too.

        `version`: which the writer has seen; None: whichever is there.
        """
        enterprise_id = self._checked(_ID, "id", enterprise_id)
        store = await self._directory.store()
        return await self._save(enterprise_id, await store.get(enterprise_id), content, version)

    async def change(
        self, enterprise_id: str, patch: Mapping[str, Any], version: int | None = None
    ) -> Enterprise:
        """Change some keys, as a JSON merge patch says (RFC 7396)."""
        enterprise = await self.get(enterprise_id)
        content = merged(content_of(enterprise, secrets=True), patch)
        return await self._save(enterprise_id, enterprise, content, version)

    def described(self, enterprise_id: str, content: Mapping[str, Any], version: int = 0) -> Enterprise:
        """The enterprise that the content is of. Raises nothing but ProvisioningError."""
        enterprise = _enterprise_of(enterprise_id, content, version, strict=self._strict)
        profile, addresses = enterprise.profile, SinkAddresses.of(self._notifier)
        for name, url in (("alerts_sink", profile.alerts_sink), ("v1.app_server", profile.v1.app_server)):
            if url is None:
                continue
            try:
                check_sink(url, addresses, allow_insecure=self._notifier.allow_insecure_sinks, name=name)
            except InvalidArgumentError as error:
                raise ProvisioningError(str(error)) from error
        return enterprise

    async def members(self, enterprise_id: str) -> dict[str, str]:
        """Names by number."""
        await self.get(enterprise_id)
        return await (await self._directory.store()).members(enterprise_id)

    async def add_members(self, enterprise_id: str, members: Mapping[str, str]) -> int:
        """Names by number, all of them or none; how many were no members yet."""
        await self.get(enterprise_id)
        for number, name in members.items():
            self._checked(_NUMBER, "number", number)
            self._checked(_NAME, "name", name)
        await self._note(AuditedAction.MEMBERS_ADDED, enterprise_id, f"{len(members)} numbers")
        return await (await self._directory.store()).add_members(enterprise_id, members)

    async def remove_member(self, enterprise_id: str, number: str) -> None:
        await self.get(enterprise_id)
        store = await self._directory.store()
        if not await store.is_member(enterprise_id, number):
            raise UnknownError("the number is no member of the enterprise")
        await self._note(AuditedAction.MEMBER_REMOVED, enterprise_id)
        await store.remove_member(enterprise_id, number)

    async def clients(self, enterprise_id: str) -> list[str]:
        """Ids of those that act for the enterprise, by the settings file or by the store."""
        await self.get(enterprise_id)
        stored = await (await self._directory.store()).clients(enterprise_id)
        return sorted({*stored, *self._directory.clients_of_settings(enterprise_id)})

    async def assign_client(self, enterprise_id: str, client_id: str) -> None:
        """One that acts for another enterprise acts for this one from now on."""
        await self.get(enterprise_id)
        if self._directory.is_of_settings(client_id):
            raise ProvisioningError(f"client {client_id!r}: the settings file says for whom it acts")
        await self._note(AuditedAction.CLIENT_ASSIGNED, enterprise_id, client_id)
        await (await self._directory.store()).assign_client(client_id, enterprise_id)

    async def remove_client(self, enterprise_id: str, client_id: str) -> None:
        if client_id not in await self.clients(enterprise_id):
            raise UnknownError("the client does not act for the enterprise")
        if self._directory.is_of_settings(client_id):
            raise ProvisioningError(f"client {client_id!r}: the settings file says for whom it acts")
        await self._note(AuditedAction.CLIENT_REMOVED, enterprise_id, client_id)
        await (await self._directory.store()).remove_client(client_id, enterprise_id)

    async def _save(
        self, enterprise_id: str, former: Enterprise | None, content: Mapping[str, Any], version: int | None
    ) -> Enterprise:
        current = 0 if former is None else former.version
        if version not in (None, current):
            raise ChangedMeanwhileError
        enterprise = self.described(enterprise_id, content, current)
        keys = sorted(_changed(former, enterprise))
        if former is not None and not keys:
            return former
        created = former is None
        action = AuditedAction.ENTERPRISE_CREATED if created else AuditedAction.ENTERPRISE_CHANGED
        await self._note(action, enterprise_id, ", ".join(keys))
        return await (await self._directory.store()).save(enterprise)

    async def _note(self, action: AuditedAction, enterprise_id: str, detail: str | None = None) -> None:
        await self._audit.add(
            action, actor=self._actor, enterprise_id=enterprise_id, subject=enterprise_id, detail=detail
        )

    @staticmethod
    def _checked(adapter: TypeAdapter[str], name: str, value: str) -> str:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise ProvisioningError(f"{name}: {error.errors()[0]['msg']}") from error


def _enterprise_of(
    enterprise_id: str, content: Mapping[str, Any], version: int, *, strict: bool
) -> Enterprise:
    """An enterprise of what `content_of` gives. Raises ProvisioningError."""
    state = content.get("state", EnterpriseState.ACTIVE.value)
    profile = {key: value for key, value in content.items() if key != "state"}
    try:
        known = EnterpriseState(state)
    except ValueError as error:
        raise ProvisioningError(f"state: must be one of {', '.join(EnterpriseState)}") from error
    try:
        if strict:
            valid = EnterpriseProfile.model_validate_json(json.dumps(profile), strict=True)
        else:
            valid = EnterpriseProfile.model_validate(profile)
        return Enterprise(enterprise_id, valid, known, version)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "enterprise"
        raise ProvisioningError(f"{where}: {problem['msg']}") from error


def content_of(enterprise: Enterprise, *, secrets: bool = False) -> dict[str, Any]:
    """The enterprise's state and profile as JSON has them; keys that hold secrets only with `secrets`."""
    exclude = None if secrets else EnterpriseProfile.SECRETS
    profile = enterprise.profile.model_dump(mode="json", context=_PLAIN, exclude_none=True, exclude=exclude)
    return {"state": enterprise.state.value, **profile}


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, section 2."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            former = result.get(key)
            result[key] = merged(former if isinstance(former, dict) else {}, value)
        else:
            result[key] = value
    return result


def _changed(former: Enterprise | None, enterprise: Enterprise) -> set[str]:
    """The keys that are not as they were; of a new one, those that are not the defaults."""
    profile = enterprise.profile
    if former is None:
        return profile.model_fields_set
    keys = {
        key for key in type(profile).model_fields if getattr(profile, key) != getattr(former.profile, key)
    }
    return keys if enterprise.state is former.state else {"state", *keys}
