"""CloudEvents in structured mode, as all of our events go out (CloudEvents 1.0, HTTP binding, 3.2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, to_structured_event
from cloudevents.core.v1.event import CloudEvent


def structured(
    *, event_id: str, event_type: str, subject: str, at: datetime, data: dict[str, Any], public_url: str
) -> HTTPMessage:
    """Headers and body; the same for every attempt at delivering the event."""
    return to_structured_event(
        CloudEvent(
            attributes={
                "id": event_id,
                "source": f"{public_url.rstrip('/')}/click-to-dial",
                "specversion": "1.0",
                "type": event_type,
                "datacontenttype": "application/json",
                "subject": subject,
                "time": at,
            },
            data=data,
        )
    )
