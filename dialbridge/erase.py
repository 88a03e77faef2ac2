"""`dialbridge erase`: what is kept of a call or of a number is deleted, and the erasure is audited."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum

from config import Settings
from dialbridge.command import actor
from media.recordings import RecordingStore
from state.audit import AuditedAction, AuditLog
from state.call import mask_number
from state.connection import connect
from state.erasure import ErasableCall, Erasure, LiveCallError
from state.keys import Keys


class ErasureStatus(IntEnum):
    """The command's exit status; 1 is an error, 2 wrong usage."""

    ERASED = 0
    NOT_NOW = 3
    """A call is live: nothing was erased. Or a recording is still being stored: the rest was erased."""
    UNKNOWN = 4
    """Nothing is kept of it."""


def erase_call(settings: Settings, call_id: str) -> ErasureStatus:
    """Raises one of `state.connection.UNREACHABLE`, or ConfigurationError."""
    return asyncio.run(_erase_call(settings, call_id))


def erase_number(settings: Settings, number: str, *, members: bool) -> ErasureStatus:
    """All calls of a number, and with `members` its memberships.

    Raises one of `state.connection.UNREACHABLE`, or ConfigurationError.
    """
    return asyncio.run(_erase_number(settings, number, members))


@dataclass(frozen=True, slots=True)
class _Stores:
    erasure: Erasure
    audit: AuditLog
    recordings: RecordingStore


@asynccontextmanager
async def _stores(settings: Settings) -> AsyncIterator[_Stores]:
    async with connect(settings.redis_url) as redis:
        keys = Keys(settings.redis.prefix)
        yield _Stores(
            Erasure(redis, keys, retention=settings.call.retention),
            AuditLog(redis, keys, retention_days=settings.privacy.audit_retention_days),
            RecordingStore(settings.recording),
        )


async def _erase_call(settings: Settings, call_id: str) -> ErasureStatus:
    async with _stores(settings) as stores:
        call = await stores.erasure.find(call_id)
        if call is None and stores.recordings.files(call_id):  # recordings may be kept longer than records
            call = ErasableCall(call_id, enterprise_id="", is_live=False)
        return ErasureStatus.UNKNOWN if call is None else await _erase(stores, [call], detail=None)


async def _erase_number(settings: Settings, number: str, members: bool) -> ErasureStatus:
    masked = mask_number(number)
    async with _stores(settings) as stores:
        calls = await stores.erasure.calls_of(number)
        status = await _erase(stores, calls, detail=masked)
        if status is ErasureStatus.NOT_NOW:
            return status
        await stores.erasure.erase_number(number)
        enterprises = await stores.erasure.memberships(number)
        for enterprise_id in enterprises if members else ():
            await stores.audit.add(
                AuditedAction.NUMBER_ERASED, actor=actor(), enterprise_id=enterprise_id, subject=masked
            )
            await stores.erasure.end_membership(enterprise_id, number)
            _say(member_of=enterprise_id, erased=True)
        if not members:
            for enterprise_id in enterprises:
                _say(member_of=enterprise_id, erased=False)
        return status if calls or enterprises else ErasureStatus.UNKNOWN


async def _erase(stores: _Stores, calls: Sequence[ErasableCall], *, detail: str | None) -> ErasureStatus:
    """The files first: as long as one of them is left, the call can be found again."""
    if live := [call for call in calls if call.is_live]:
        for call in live:
            print(f"the call {call.id} is live: end it first", file=sys.stderr)
        return ErasureStatus.NOT_NOW
    files = {}
    for call in calls:
        await stores.audit.add(
            AuditedAction.CALL_ERASED,
            actor=actor(),
            enterprise_id=call.enterprise_id,
            subject=call.id,
            detail=detail,
        )
        try:
            files[call.id] = stores.recordings.erase(call.id)
        except BlockingIOError as error:
            print(f"the call {call.id}: {error}", file=sys.stderr)
    try:
        await stores.erasure.erase(files.keys())
    except LiveCallError as error:
        print(error, file=sys.stderr)
        return ErasureStatus.NOT_NOW
    for call_id, count in files.items():
        _say(call_id=call_id, files=count)
    return ErasureStatus.ERASED if len(files) == len(calls) else ErasureStatus.NOT_NOW


def _say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
