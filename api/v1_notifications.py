"""A call's step as the application of the older generation gets it (its document, section 4.2)."""

from __future__ import annotations

import json
from typing import Any

from api.calls_schemas import rfc3339
from api.v1_numbers import without_plus
from api.v1_results import SUCCESS
from state.call import Call, CallEvent, CallState, DisconnectionReason

HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # the answer is read as it comes
}

STATUSES = {
    CallState.CALLING_CALLER: "CallingCaller",
    CallState.CALLING_CALLEE: "CallingCallee",
    CallState.CONNECTED: "Connected",
    CallState.DISCONNECTED: "Disconnected",
    CallState.FAILED: "Disconnected",
}
"""`initiating` has none: create_call.lua puts no such event into the outbox."""


def notify_url(app_server: str, call_id: str) -> str:
    return f"{app_server.rstrip('/')}/clicktodial/v1/clicktodialstatusnotify/{call_id}"


def status_notification(call: Call, event: CallEvent) -> bytes:
    """The body; the same for every attempt at delivering the event."""
    body: dict[str, Any] = {
        "caller": without_plus(call.caller),
        "callee": without_plus(call.callee),
        "status": STATUSES[event.state],
        "timeStamp": rfc3339(event.at),
    }
    # The tables ask for these at the end of a call, the list of mandatory attributes always: before the end
    # there is nothing to say.
    if event.state.is_terminal:
        body["reason"] = _pascal_case(event.reason or DisconnectionReason.OTHER)
        body["callDuration"] = event.duration or 0
        if event.recording_result is not None:
            body["recordingResult"] = _pascal_case(event.recording_result)
            body["recordingId"] = recording_id(call)
    return json.dumps(body, separators=(",", ":")).encode()


def recording_id(call: Call) -> str:
    """A call has one recording at most: it has the call's name, whichever generation placed the call."""
    return call.id


def is_taken(answer: bytes) -> bool:
    """Whether the application's answer has the code of success."""
    try:
        content = json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("code") == SUCCESS


def _pascal_case(word: str) -> str:
    return word[:1].upper() + word[1:]
