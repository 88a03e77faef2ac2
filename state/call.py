"""The call's record, its states and its events (CAMARA click-to-dial vocabulary)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeVar
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from config import AnnouncementSettings, EnterprisePolicy, RecordingChannels
from state.attempts import LegAttempt
from state.quality import LegQuality

T = TypeVar("T")


class CallState(StrEnum):
    INITIATING = "initiating"
    CALLING_CALLER = "callingCaller"
    CALLING_CALLEE = "callingCallee"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        return self in (CallState.DISCONNECTED, CallState.FAILED)


Generation = Literal["camara", "v1"]
"""Of the API: which one placed a call, and so in whose words its events are told."""

LIVE_STATES = tuple(state for state in CallState if not state.is_terminal)


class DisconnectionReason(StrEnum):
    HANG_UP = "hangUp"
    CALLER_BUSY = "callerBusy"
    CALLER_NO_ANSWER = "callerNoAnswer"
    CALLER_FAILURE = "callerFailure"
    CALLER_ABANDON = "callerAbandon"
    CALLEE_BUSY = "calleeBusy"
    CALLEE_NO_ANSWER = "calleeNoAnswer"
    CALLEE_FAILURE = "calleeFailure"
    OTHER = "other"


class RecordingResult(StrEnum):
    SUCCESS = "success"
    NO_RECORD = "noRecord"
    FAIL = "fail"


def _parsed(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


Nested = Annotated[T, BeforeValidator(_parsed)]
"""A Redis hash holds it as JSON text."""


class PressedDigit(BaseModel):
    """A digit that one party sent to the other (RFC 4733 or SIP INFO)."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    leg: Literal["caller", "callee"]
    digit: str
    """0-9, *, #, A-D."""
    duration_ms: int
    at: datetime


class Call(BaseModel):
    """One click-to-dial call as Redis holds it; times are UTC, durations whole seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    id: str
    generation: Generation = "camara"
    client_id: str
    enterprise_id: str
    caller: str
    callee: str
    presented_number: str
    """The enterprise's number, shown to both parties."""
    state: CallState = CallState.INITIATING
    created_at: datetime
    recording_enabled: bool = False
    recording_channels: RecordingChannels = "mixed"
    recording_retention_days: int | None = None
    """None: `recording.retention_days`; 0: it is kept for ever."""
    announcements: Nested[AnnouncementSettings] = AnnouncementSettings()
    policy: Nested[EnterprisePolicy] = Field(default=EnterprisePolicy(), exclude=True)
    """The enterprise's, for where a redirection may lead. Only the engine is told: it may be long."""
    billing_increment: int = 1
    """Seconds; as the enterprise's pool had it when the call was made."""
    quota_slice: int | None = None
    """Seconds that are reserved in the enterprise's pool at once; None: the call needs no pool."""
    granted_seconds: int | None = None
    """Reserved so far: the call may talk no longer than this."""
    billed_seconds: int | None = None
    """Once it has ended."""
    sink: str | None = None
    sink_token: str | None = None
    """As `state.vault` seals it."""
    sink_token_expires_at: datetime | None = None
    sink_client_id: str | None = None
    """Who we are at `sink_token_uri`, where access tokens for the sink are to be had."""
    sink_token_uri: str | None = None
    correlator: str | None = None

    engine_id: str | None = None
    epoch: int = 0
    """Raised with each change of owner; a transition of an older epoch is refused."""

    connected_at: datetime | None = None
    ended_at: datetime | None = None
    reason: DisconnectionReason | None = None
    duration: int | None = None
    recording_result: RecordingResult | None = None
    recording_path: str | None = None
    """Relative to the recording root; set iff recording_result is `success`."""
    caller_quality: Nested[LegQuality | None] = None
    callee_quality: Nested[LegQuality | None] = None
    digits: Nested[tuple[PressedDigit, ...]] = ()
    """Only with `call.record_digits`."""
    attempts: Nested[tuple[LegAttempt, ...]] = ()


class CallEvent(BaseModel):
    """One step of a call, as appended to its event stream and to the outbox."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    """Stable over every delivery attempt (CloudEvents `id`)."""
    call_id: str
    state: CallState
    at: datetime
    reason: DisconnectionReason | None = None
    duration: int | None = None
    recording_result: RecordingResult | None = None

    @property
    def owner(self) -> str:
        """Whose events are delivered in order."""
        return self.call_id


@dataclass(frozen=True, slots=True)
class Findings:
    """What becomes known of a call beside its states: all at its end, some of it from time to time before."""

    recording_path: str | None = None
    caller_quality: LegQuality | None = None
    callee_quality: LegQuality | None = None
    digits: tuple[PressedDigit, ...] = ()
    attempts: tuple[LegAttempt, ...] = ()

    @property
    def fields(self) -> dict[str, str]:
        """Of the call's record in Redis."""
        found: dict[str, str] = {}
        if self.recording_path:
            found["recording_path"] = self.recording_path
        if self.caller_quality is not None:
            found["caller_quality"] = self.caller_quality.model_dump_json()
        if self.callee_quality is not None:
            found["callee_quality"] = self.callee_quality.model_dump_json()
        if self.digits:
            found["digits"] = json.dumps([digit.model_dump(mode="json") for digit in self.digits])
        if self.attempts:
            found["attempts"] = json.dumps(
                [one.model_dump(mode="json", exclude_none=True) for one in self.attempts]
            )
        return found


@dataclass(frozen=True, slots=True)
class Transition:
    """A call's next state with what becomes known by it. Its event id is fixed, so repeating it is safe."""

    call_id: str
    epoch: int
    event: CallEvent
    findings: Findings = Findings()

    @classmethod
    def to(
        cls,
        state: CallState,
        *,
        call_id: str,
        epoch: int,
        at: datetime,
        reason: DisconnectionReason | None = None,
        duration: int | None = None,
        recording_result: RecordingResult | None = None,
        findings: Findings = Findings(),
    ) -> Transition:
        event = CallEvent(
            id=str(uuid4()),
            call_id=call_id,
            state=state,
            at=at,
            reason=reason,
            duration=duration,
            recording_result=recording_result,
        )
        return cls(call_id=call_id, epoch=epoch, event=event, findings=findings)


SHORT_NUMBER = 8
"""Characters: of so few, four digits would be most of the number."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def mask_number(number: str) -> str:
    """A phone number as logs may show it: its first and last two digits; of a short one, only the first."""
    return f"{number[:3]}…{number[-2:]}" if len(number) > SHORT_NUMBER else f"{number[:2]}…"
