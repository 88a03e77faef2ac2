"""Who did what with what is others' business: appended, and never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from state.call import utc_now
from state.keys import Keys
from state.streams import added_at, milliseconds, read_stream


class AuditedAction(StrEnum):
    RECORDING_READ = "recording.read"
    ENTERPRISE_CREATED = "enterprise.created"
    ENTERPRISE_CHANGED = "enterprise.changed"
    """`detail`: which keys."""
    MEMBERS_ADDED = "members.added"
    MEMBER_REMOVED = "member.removed"
    CLIENT_ASSIGNED = "client.assigned"
    CLIENT_REMOVED = "client.removed"
    POOL_TOPPED_UP = "pool.top_up"
    CALL_ERASED = "call.erased"
    NUMBER_ERASED = "number.erased"
    """Its subject is the number, masked."""


class AuditEntry(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    at: datetime
    """UTC, by the clock of the Redis server."""
    action: AuditedAction
    actor: str
    """The client's id; of a command, `command:` and the user's name."""
    enterprise_id: str
    subject: str
    """The call's id, the enterprise's, the top-up's reference, or an erased number, masked."""
    correlator: str | None = None
    detail: str | None = None


class AuditLog:
    """Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys, *, retention_days: float) -> None:
        self._redis = redis
        self._key = keys.audit
        self._retention = timedelta(days=retention_days)

    async def add(
        self,
        action: AuditedAction,
        *,
        actor: str,
        enterprise_id: str,
        subject: str,
        correlator: str | None = None,
        detail: str | None = None,
    ) -> None:
        """To be called before the thing is done: what cannot be audited is not done."""
        fields = {
            "action": action.value,
            "actor": actor,
            "enterprise_id": enterprise_id,
            "subject": subject,
            "correlator": correlator,
            "detail": detail,
        }
        kept: Any = {name: value for name, value in fields.items() if value is not None}
        oldest = milliseconds(utc_now() - self._retention)
        await self._redis.xadd(self._key, kept, minid=f"{oldest}-0", approximate=True)

    async def between(self, start: datetime, end: datetime) -> AsyncIterator[AuditEntry]:
        """Those added from `start` until before `end`, in order."""
        async for entry_id, fields in read_stream(self._redis, self._key, start, end):
            yield AuditEntry.model_validate({"at": added_at(entry_id), **fields})
