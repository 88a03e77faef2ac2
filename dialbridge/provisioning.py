"""`dialbridge enterprise`, `member` and `client`: what `/admin/v1` does, on the spot."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from api.enterprise_directory import EnterpriseDirectory
from api.member_table import MemberTableError
from api.member_table import parsed as members_of
from api.member_table import written as member_table
from api.provisioning import Provisioning, ProvisioningError, UnknownError, content_of
from config import Settings
from dialbridge.command import ConfigOption, actor, fail, quieten, redis_in_reach, settings_of
from dialbridge.enterprise_table import EnterpriseTableError, nested, patched
from dialbridge.enterprise_table import parsed as enterprises_of
from dialbridge.enterprise_table import written as enterprise_table
from state.audit import AuditLog
from state.connection import connect
from state.enterprises import ChangedMeanwhileError, EnterpriseState, EnterpriseStore
from state.keys import Keys
from state.vault import Vault

enterprises = typer.Typer(help="Enterprises: who may place calls, and how.", no_args_is_help=True)
members = typer.Typer(help="An enterprise's members: numbers that may be callers.", no_args_is_help=True)
clients = typer.Typer(help="OAuth clients that act for an enterprise.", no_args_is_help=True)

Enterprise = Annotated[str, typer.Argument(metavar="ENTERPRISE", help="The enterprise's id.")]
File = Annotated[Path, typer.Argument(help="CSV file with a header line.", exists=True, dir_okay=False)]
Numbers = Annotated[list[str], typer.Argument(metavar="NUMBER...", help="In E.164 format.")]
Client = Annotated[str, typer.Argument(metavar="CLIENT", help="The client_id of its tokens.")]

T = TypeVar("T")


@enterprises.command("list")
def list_enterprises(config: ConfigOption = None) -> None:
    """Print all, a JSON line for each."""
    for enterprise in _run(config, _all):
        print(json.dumps(enterprise))


@enterprises.command("show")
def show_enterprise(enterprise: Enterprise, config: ConfigOption = None) -> None:
    """Print one, without its secrets."""
    found = _run(config, lambda provisioning: provisioning.get(enterprise))
    print(json.dumps({"id": found.id, **content_of(found)}, indent=2))


@enterprises.command("set")
def set_enterprise(
    enterprise: Enterprise,
    assignments: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="As in the settings file; KEY= takes it away.")
    ],
    config: ConfigOption = None,
) -> None:
    """Make an enterprise, or change some of its keys: number=+4420... announcements.busy=busy max_calls=5"""
    pairs = [assignment.partition("=") for assignment in assignments]
    if wrong := [key for key, mark, _ in pairs if not mark]:
        raise typer.BadParameter(f"{wrong[0]}: not KEY=VALUE")
    try:
        patch = nested((key, text) for key, _, text in pairs)
    except EnterpriseTableError as error:
        raise typer.BadParameter(str(error)) from error
    _run(config, lambda provisioning: _merge(provisioning, enterprise, patch))


@enterprises.command("suspend")
def suspend(enterprise: Enterprise, config: ConfigOption = None) -> None:
    """Let it place no calls. Those it has go on."""
    patch = {"state": EnterpriseState.SUSPENDED.value}
    _run(config, lambda provisioning: provisioning.change(enterprise, patch))


@enterprises.command("resume")
def resume(enterprise: Enterprise, config: ConfigOption = None) -> None:
    """Let a suspended one place calls again."""
    patch = {"state": EnterpriseState.ACTIVE.value}
    _run(config, lambda provisioning: provisioning.change(enterprise, patch))


@enterprises.command("export")
def export_enterprises(config: ConfigOption = None) -> None:
    """Write all as CSV, without their secrets."""
    sys.stdout.write(enterprise_table(_run(config, _all)))


@enterprises.command("import")
def import_enterprises(file: File, config: ConfigOption = None) -> None:
    """Make or change those of a CSV file, or none if one line cannot be used. What has no column stays."""
    try:
        patches = enterprises_of(file.read_text(encoding="utf-8-sig"))
    except (EnterpriseTableError, UnicodeDecodeError) as error:
        fail(f"{file}: {error}")

    async def apply(provisioning: Provisioning) -> None:
        for enterprise, patch in patches.items():  # all of them before the first is written
            _, content = await _content(provisioning, enterprise)
            provisioning.described(enterprise, patched(content, patch))
        for enterprise, patch in patches.items():
            await _merge(provisioning, enterprise, patch)

    _run(config, apply)
    print(f"{len(patches)} enterprises", file=sys.stderr)


@members.command("list")
def list_members(enterprise: Enterprise, config: ConfigOption = None) -> None:
    """Write them as CSV."""
    sys.stdout.write(member_table(_run(config, lambda provisioning: provisioning.members(enterprise))))


@members.command("add")
def add_members(
    enterprise: Enterprise,
    numbers: Numbers,
    name: Annotated[str, typer.Option(help="For people.")] = "",
    config: ConfigOption = None,
) -> None:
    """Let numbers be callers."""
    added = dict.fromkeys(numbers, name)
    _run(config, lambda provisioning: provisioning.add_members(enterprise, added))


@members.command("remove")
def remove_members(enterprise: Enterprise, numbers: Numbers, config: ConfigOption = None) -> None:
    """Let numbers be callers no longer."""

    async def remove(provisioning: Provisioning) -> None:
        known = await provisioning.members(enterprise)
        if unknown := sum(number not in known for number in numbers):
            raise UnknownError(f"{unknown} of the numbers are no members; nothing was removed")
        for number in numbers:
            await provisioning.remove_member(enterprise, number)

    _run(config, remove)


@members.command("import")
def import_members(enterprise: Enterprise, file: File, config: ConfigOption = None) -> None:
    """Add those of a CSV file (number,name): all or, if one line cannot be used, none."""
    try:
        added = members_of(file.read_text(encoding="utf-8-sig"))
    except (MemberTableError, UnicodeDecodeError) as error:
        fail(f"{file}: {error}")
    count = _run(config, lambda provisioning: provisioning.add_members(enterprise, added))
    print(f"{count} members more, {len(added) - count} known already", file=sys.stderr)


@members.command("export")
def export_members(enterprise: Enterprise, config: ConfigOption = None) -> None:
    """Write them as CSV, as `import` reads it."""
    list_members(enterprise, config)


@clients.command("list")
def list_clients(enterprise: Enterprise, config: ConfigOption = None) -> None:
    """Print the ids of those that act for the enterprise."""
    for client in _run(config, lambda provisioning: provisioning.clients(enterprise)):
        print(client)


@clients.command("add")
def add_client(enterprise: Enterprise, client: Client, config: ConfigOption = None) -> None:
    """Let a client of the OpenID provider act for the enterprise, and for no other."""
    _run(config, lambda provisioning: provisioning.assign_client(enterprise, client))


@clients.command("remove")
def remove_client(enterprise: Enterprise, client: Client, config: ConfigOption = None) -> None:
    """Let it act for the enterprise no longer."""
    _run(config, lambda provisioning: provisioning.remove_client(enterprise, client))


async def _all(provisioning: Provisioning) -> list[dict[str, Any]]:
    return [{"id": one.id, **content_of(one)} async for one in provisioning.all()]


async def _content(provisioning: Provisioning, enterprise: str) -> tuple[int, dict[str, Any]]:
    """Its version and what there is of it; nothing for a new one."""
    try:
        found = await provisioning.get(enterprise)
    except UnknownError:
        return 0, {}
    return found.version, content_of(found, secrets=True)


async def _merge(provisioning: Provisioning, enterprise: str, patch: dict[str, Any]) -> None:
    version, content = await _content(provisioning, enterprise)
    await provisioning.replace(enterprise, patched(content, patch), version)


def _run(config: Path | None, action: Callable[[Provisioning], Awaitable[T]]) -> T:
    try:
        with redis_in_reach():
            settings = settings_of(config)
            quieten(settings)
            return asyncio.run(_with_provisioning(settings, action))
    except ProvisioningError as error:
        fail(str(error))
    except ChangedMeanwhileError:
        fail("somebody else has changed the enterprise meanwhile; try again")


async def _with_provisioning(settings: Settings, action: Callable[[Provisioning], Awaitable[T]]) -> T:
    keys = Keys(settings.redis.prefix)
    async with connect(settings.redis_url) as redis:
        store = EnterpriseStore(redis, keys, Vault(settings.privacy))
        audit = AuditLog(redis, keys, retention_days=settings.privacy.audit_retention_days)
        directory = EnterpriseDirectory(store, settings)
        return await action(Provisioning(directory, audit, actor=actor(), notifier=settings.notifier))
