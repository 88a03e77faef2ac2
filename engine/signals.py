"""What the call's state machine is told (events) and what it answers (actions). Plain values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from state.call import CallState, DisconnectionReason, RecordingResult


class Leg(StrEnum):
    CALLER = "caller"
    CALLEE = "callee"


class Timer(Enum):
    NO_ANSWER = "no answer"
    MAX_DURATION = "maximum duration"
    FINALISE = "finalise recording"


# --- events


@dataclass(frozen=True, slots=True)
class DialRequested:
    """The engine took the call from its command stream."""


@dataclass(frozen=True, slots=True)
class LegRinging:
    """A provisional response other than 100."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """A 2xx, acknowledged."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class LegEnded:
    """The leg's dialog is over: a final failure response, a time-out (408) or a BYE of either side."""

    leg: Leg
    status: int
    q850: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The client sent DELETE."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    timer: Timer


@dataclass(frozen=True, slots=True)
class RecordingFailed:
    """The recorder could not be started."""


@dataclass(frozen=True, slots=True)
class RecordingFinished:
    """The recorder's file is complete; `path` is where it is stored (relative), None if it could not be."""

    path: str | None


@dataclass(frozen=True, slots=True)
class EngineStopping:
    """The engine shuts down and its grace is over."""


@dataclass(frozen=True, slots=True)
class InternalError:
    """An action could not be carried out."""


@dataclass(frozen=True, slots=True)
class OwnershipLost:
    """Another process decides about this call now (its epoch was raised)."""


Event = (
    DialRequested
    | LegRinging
    | LegAnswered
    | LegEnded
    | ReleaseRequested
    | TimerFired
    | RecordingFailed
    | RecordingFinished
    | EngineStopping
    | InternalError
    | OwnershipLost
)


# --- actions


@dataclass(frozen=True, slots=True)
class Dial:
    leg: Leg


@dataclass(frozen=True, slots=True)
class HangUp:
    """CANCEL or BYE, whichever the leg's dialog needs."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class PlayRingback:
    """To the caller."""


@dataclass(frozen=True, slots=True)
class StopRingback:
    pass


@dataclass(frozen=True, slots=True)
class Bridge:
    """Join both legs' audio."""


@dataclass(frozen=True, slots=True)
class StartRecording:
    pass


@dataclass(frozen=True, slots=True)
class StopRecording:
    """Answered by `RecordingFinished`."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Replaces the timer of the same name if it runs. Seconds."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    timer: Timer


@dataclass(frozen=True, slots=True)
class Publish:
    state: CallState
    at: datetime
    reason: DisconnectionReason | None = None
    duration: int | None = None
    recording_result: RecordingResult | None = None
    recording_path: str | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing is left to do for this call."""


Action = (
    Dial
    | HangUp
    | PlayRingback
    | StopRingback
    | Bridge
    | StartRecording
    | StopRecording
    | StartTimer
    | StopTimer
    | Publish
    | Forget
)
