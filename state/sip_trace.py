"""The SIP messages of a call, in order, as the engine sent and received them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis

from state.connection import load_script
from state.keys import Keys

MESSAGES_PER_CALL = 400


class SipMessage(BaseModel):
    model_config = ConfigDict(frozen=True)

    call_id: str
    """The click-to-dial call, not the SIP Call-ID."""
    leg: Literal["caller", "callee"]
    direction: Literal["sent", "received"]
    at: datetime
    text: str
    """Start line, headers and body, as on the wire."""

    @property
    def start_line(self) -> str:
        return self.text.split("\r\n", 1)[0]


class SipTrace:
    def __init__(self, redis: Redis, keys: Keys, *, retention: int) -> None:
        """`retention`: seconds the messages are kept after the latest one."""
        self._redis = redis
        self._keys = keys
        self._retention = retention
        self._append = load_script(redis, "append_sip")

    async def append(self, messages: list[SipMessage]) -> None:
        """Messages of calls whose record has gone are dropped."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for message in messages:
                await self._append(
                    keys=[self._keys.call(message.call_id), self._keys.sip(message.call_id)],
                    args=[message.model_dump_json(), MESSAGES_PER_CALL, self._retention],
                    client=pipe,
                )
            await pipe.execute()

    async def read(self, call_id: str) -> list[SipMessage]:
        entries: Any = await self._redis.xrange(self._keys.sip(call_id))
        return [SipMessage.model_validate_json(fields["message"]) for _, fields in entries]
