"""`dialbridge dead-letters`: events that were not delivered, listed and sent again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Collection

from api.calls_schemas import rfc3339
from config import Settings
from state.call import CallEvent
from state.connection import connect
from state.dead_letters import DeadLetter, DeadLetters, ResendResult
from state.keys import Keys


def list_letters(settings: Settings, call_ids: Collection[str]) -> int:
    """Print a JSON line for each, of these calls or of all; how many.

    Raises one of `state.connection.UNREACHABLE`, or ConfigurationError.
    """
    return asyncio.run(_list(settings, call_ids))


def resend(settings: Settings, call_ids: Collection[str]) -> Counter[ResendResult]:
    """Make the dead letters of these calls, or all, due again, in order; how many ended how.

    Raises one of `state.connection.UNREACHABLE`, or ConfigurationError.
    """
    return asyncio.run(_resend(settings, call_ids))


async def _list(settings: Settings, call_ids: Collection[str]) -> int:
    count = 0
    async with connect(settings.redis_url) as redis:
        async for letter in DeadLetters(redis, Keys(settings.redis.prefix)).all():
            if _wanted(letter, call_ids):
                sys.stdout.write(json.dumps(_line(letter)) + "\n")
                count += 1
    return count


async def _resend(settings: Settings, call_ids: Collection[str]) -> Counter[ResendResult]:
    async with connect(settings.redis_url) as redis:
        letters = DeadLetters(redis, Keys(settings.redis.prefix))
        # Those of now: what is sent again may soon be a dead letter again.
        wanted = [letter async for letter in letters.all() if _wanted(letter, call_ids)]
        return Counter([await letters.resend(letter) for letter in wanted])


def _wanted(letter: DeadLetter, call_ids: Collection[str]) -> bool:
    return not call_ids or letter.event.owner in call_ids


def _line(letter: DeadLetter) -> dict[str, str]:
    event = letter.event
    if isinstance(event, CallEvent):
        about = {"call_id": event.call_id, "event_id": event.id, "state": event.state.value}
    else:
        about = {"enterprise_id": event.enterprise_id, "event_id": event.id}
    return {
        **about,
        "at": rfc3339(event.at),
        "reason": letter.reason.value,
        "ended_at": rfc3339(letter.buried_at),
    }
