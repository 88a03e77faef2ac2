"""Calls as a soak finds them afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.soak_load import Placed
from bench.soak_recordings import Recording
from bench.soak_verdict import EndedCall
from state.call import Call, CallState, RecordingResult
from state.call import DisconnectionReason as Reason
from state.sip_trace import SipMessage

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CONNECTED_AFTER, TALK = 2.0, 10.0
REFRESHES = tuple(
    SipMessage(
        call_id="c",
        leg=leg,
        direction="received",
        at=BEGAN,
        text="SIP/2.0 200 OK\r\nCSeq: 5 UPDATE\r\nSession-Expires: 90;refresher=uac\r\n\r\n",
    )
    for leg in ("caller", "callee")
)


def record(*, talk: float | None = TALK, lasted: float = CONNECTED_AFTER, **changes: Any) -> Call:
    """Of a call that was connected for `talk` seconds; None: of one that never was, and `lasted` so long."""
    connected = None if talk is None else BEGAN + timedelta(seconds=CONNECTED_AFTER)
    ended = BEGAN + timedelta(seconds=lasted) if talk is None else BEGAN + timedelta(seconds=2.0 + talk)
    values: dict[str, Any] = {
        "id": "c",
        "client_id": "lab",
        "enterprise_id": "lab",
        "caller": "+447700900002",
        "callee": "+447700900001",
        "presented_number": "+441632960000",
        "state": CallState.DISCONNECTED,
        "reason": Reason.HANG_UP,
        "created_at": BEGAN,
        "connected_at": connected,
        "ended_at": ended,
    }
    return Call(**(values | changes))


def ended(call: Call, *, caller: str = "02", callee: str = "01", deleted: bool = True) -> EndedCall:
    placed = Placed("c", "lab", caller, callee, recorded=False, deleted=deleted)
    return EndedCall(placed, call, terminal_events=1, at_sink=1, charged=1)


def recorded(
    seconds: float = TALK,
    peaks: tuple[float, ...] = (0.25,),
    *,
    caller: str = "02",
    callee: str = "01",
    **changes: Any,
) -> EndedCall:
    """A call of 10 s that was recorded, and what was fetched of it."""
    call = ended(
        record(**{"recording_enabled": True, "recording_result": RecordingResult.SUCCESS, **changes}),
        caller=caller,
        callee=callee,
    )
    placed = replace(call.placed, recorded=True)
    return replace(call, placed=placed, recording=Recording(seconds, peaks))
