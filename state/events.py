"""What is delivered to sinks: the steps of a call, and that a pool of minutes runs low."""

from __future__ import annotations

from pydantic import TypeAdapter

from state.call import CallEvent
from state.pool import LowWater

Event = CallEvent | LowWater
"""Those of one owner are delivered in order."""

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def read_event(text: str) -> Event:
    """As the outbox holds it."""
    return _EVENT.validate_json(text)
