"""A call's step as the CloudEvent that the sink gets (click-to-dial.yaml, CallStatusChangedEvent)."""

from __future__ import annotations

from typing import Any

from cloudevents.core.bindings.http import HTTPMessage

from api.calls_schemas import rfc3339
from api.cloud_events import structured
from state.call import Call, CallEvent, CallState

EVENT_TYPE = "org.camaraproject.click-to-dial.v0.status-changed"


def status_changed(call: Call, event: CallEvent, *, public_url: str) -> HTTPMessage:
    """Headers and body in structured mode; the same for every attempt at delivering the event.

    The attribute `subject` is required by the API's seed document, not by the OpenAPI document.
    """
    return structured(
        event_id=event.id,
        event_type=EVENT_TYPE,
        subject=f"/calls/{call.id}",
        at=event.at,
        data=_data(call, event),
        public_url=public_url,
    )


def _data(call: Call, event: CallEvent) -> dict[str, Any]:
    status: dict[str, str] = {"state": event.state.value}
    data: dict[str, Any] = {
        "callId": call.id,
        "caller": call.caller,
        "callee": call.callee,
        "status": status,
        "timestamp": rfc3339(event.at),
    }
    if event.state.is_terminal and event.recording_result is not None:
        data["recordingResult"] = event.recording_result.value
    # `reason` and `callDuration` are mandatory when disconnected, and present in no other state.
    if event.state is CallState.DISCONNECTED:
        if event.reason is not None:
            status["reason"] = event.reason.value
        data["callDuration"] = str(event.duration or 0)
    return data
