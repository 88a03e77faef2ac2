"""The CloudEvent of each step, validated against CAMARA's schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from api.camara_events import status_changed
from state.call import Call, CallEvent, CallState, DisconnectionReason, RecordingResult
from tests.api.camara_schemas import validate

AT = datetime(2026, 11, 22, 10, 30, 15, 123456, tzinfo=UTC)
CALL = Call(
    id="123e4567-e89b-12d3-a456-426614174000",
    client_id="shop",
    enterprise_id="acme",
    caller="+447700900000",
    callee="+447700900123",
    presented_number="+442079460000",
    created_at=AT,
    recording_enabled=True,
    sink_token="secret-token",
)


def body_of(state: CallState, **fields: Any) -> dict[str, Any]:
    event = CallEvent(id="e-1", call_id=CALL.id, state=state, at=AT, **fields)
    message = status_changed(CALL, event, public_url="https://api.example.com/")
    assert message.headers == {"content-type": "application/cloudevents+json"}
    assert b"secret-token" not in message.body
    assert CALL.presented_number.encode() not in message.body
    body: dict[str, Any] = json.loads(message.body)
    validate("CallStatusChangedEvent", body)
    return body


def test_the_envelope() -> None:
    body = body_of(CallState.CONNECTED)
    assert set(body) == {
        *("id", "source", "specversion", "type", "datacontenttype", "subject", "time", "data"),
    }
    assert body["id"] == "e-1"
    assert body["source"] == "https://api.example.com/click-to-dial"
    assert body["specversion"] == "1.0"
    assert body["type"] == "org.camaraproject.click-to-dial.v0.status-changed"
    assert body["datacontenttype"] == "application/json"
    assert body["subject"] == f"/calls/{CALL.id}"
    assert body["time"].endswith("Z")
    assert datetime.fromisoformat(body["time"]) == AT


@pytest.mark.parametrize("state", [state for state in CallState if state is not CallState.DISCONNECTED])
def test_a_state_without_reason_or_duration(state: CallState) -> None:
    assert body_of(state)["data"] == {
        "callId": CALL.id,
        "caller": "+447700900000",
        "callee": "+447700900123",
        "status": {"state": state.value},
        "timestamp": "2026-11-22T10:30:15.123Z",
    }


@pytest.mark.parametrize("reason", list(DisconnectionReason))
@pytest.mark.parametrize(("duration", "written"), [(0, "0"), (1600, "1600"), (None, "0")])
def test_disconnected_carries_both(reason: DisconnectionReason, duration: int | None, written: str) -> None:
    data = body_of(CallState.DISCONNECTED, reason=reason, duration=duration)["data"]
    assert data["status"] == {"state": "disconnected", "reason": reason.value}
    assert data["callDuration"] == written
    assert "recordingResult" not in data


def test_failed_carries_neither_even_if_the_event_has_them() -> None:
    data = body_of(CallState.FAILED, reason=DisconnectionReason.OTHER, duration=3)["data"]
    assert data["status"] == {"state": "failed"}
    assert "callDuration" not in data


@pytest.mark.parametrize("result", list(RecordingResult))
@pytest.mark.parametrize("state", [CallState.DISCONNECTED, CallState.FAILED])
def test_a_terminal_event_tells_what_became_of_the_recording(
    state: CallState, result: RecordingResult
) -> None:
    reason = DisconnectionReason.HANG_UP if state is CallState.DISCONNECTED else None
    assert body_of(state, reason=reason, recording_result=result)["data"]["recordingResult"] == result.value
