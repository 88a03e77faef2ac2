"""That an enterprise's pool of minutes runs low, as the CloudEvent that its `alerts_sink` gets."""

from __future__ import annotations

from cloudevents.core.bindings.http import HTTPMessage, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from api.calls_schemas import rfc3339
from state.pool import LowWater

EVENT_TYPE = "org.dialbridge.pool.low-water.v1"


def pool_is_low(event: LowWater, *, public_url: str) -> HTTPMessage:
    """Headers and body in structured mode; the same for every attempt at delivering the event."""
    return to_structured_event(
        CloudEvent(
            attributes={
                "id": event.id,
                "source": f"{public_url.rstrip('/')}/click-to-dial",
                "specversion": "1.0",
                "type": EVENT_TYPE,
                "datacontenttype": "application/json",
                "subject": event.enterprise_id,
                "time": event.at,
            },
            data={
                "enterprise": event.enterprise_id,
                "balanceSeconds": event.balance,
                "lowWaterSeconds": event.low_water,
                "at": rfc3339(event.at),
            },
        )
    )
