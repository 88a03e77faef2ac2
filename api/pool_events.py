"""That an enterprise's pool of minutes runs low, as the CloudEvent that its `alerts_sink` gets."""

from __future__ import annotations

from cloudevents.core.bindings.http import HTTPMessage

from api.calls_schemas import rfc3339
from api.cloud_events import structured
from state.pool import LowWater

EVENT_TYPE = "org.dialbridge.pool.low-water.v1"


def pool_is_low(event: LowWater, *, public_url: str) -> HTTPMessage:
    """Headers and body in structured mode; the same for every attempt at delivering the event."""
    return structured(
        event_id=event.id,
        event_type=EVENT_TYPE,
        subject=event.enterprise_id,
        at=event.at,
        data={
            "enterprise": event.enterprise_id,
            "balanceSeconds": event.balance,
            "lowWaterSeconds": event.low_water,
            "at": rfc3339(event.at),
        },
        public_url=public_url,
    )
