"""What the call's state machine is told (events) and what it answers (actions). Plain values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from state.call import CallState, DisconnectionReason, RecordingResult


class Leg(StrEnum):
    CALLER = "caller"
    CALLEE = "callee"

    @property
    def other(self) -> Leg:
        return Leg.CALLEE if self is Leg.CALLER else Leg.CALLER


class Timer(Enum):
    NO_PROGRESS = "no progress"
    NO_ANSWER = "no answer"
    PROMPT = "prompt"
    """A prompt that never says that it is over must not hold the call."""
    MAX_DURATION = "maximum duration"
    QUOTA = "reserve more minutes"
    WARNING = "warning"
    BEEP = "end of the warning tone"
    FINALISE = "finalise recording"


class Heard(Enum):
    """What one party hears: always exactly one thing."""

    NOTHING = "nothing"
    RINGBACK = "ringback"
    PROMPT = "prompt"
    OTHER_PARTY = "other party"
    """Before the answer: the network's early media (RFC 3960)."""
    HOLD_MUSIC = "music on hold"


class Recorded(Enum):
    """What enters the recording; its time runs on all the same."""

    NOTHING = "nothing"
    PARTIES = "parties"
    PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class AudioPlan:
    """Who hears what from now on."""

    caller: Heard = Heard.NOTHING
    callee: Heard = Heard.NOTHING
    recorded: Recorded = Recorded.NOTHING
    beep: bool = False
    """Both hear the warning tone over everything else."""

    def heard_by(self, leg: Leg) -> Heard:
        return self.caller if leg is Leg.CALLER else self.callee


SILENCE = AudioPlan()


# --- events


@dataclass(frozen=True, slots=True)
class DialRequested:
    """The engine took the call from its command stream."""


@dataclass(frozen=True, slots=True)
class LegProgress:
    """Any provisional response, 100 Trying too: the network is there."""

    leg: Leg
    status: int = 100


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    """Before the leg's answer: its RTP has begun to arrive, or has stopped."""

    leg: Leg
    flows: bool


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
    by_us: bool = False
    """Nothing from the party said so: a time-out, or what could not be sent or used."""


@dataclass(frozen=True, slots=True)
class LegRedirected:
    """A 3xx that names a number which this call may dial; its dialog is over."""

    leg: Leg
    number: str
    status: int


@dataclass(frozen=True, slots=True)
class LegHeld:
    """The party wants no audio from us (RFC 3264, section 8.4: sendonly, inactive or c=0.0.0.0)."""

    leg: Leg
    on_hold: bool


@dataclass(frozen=True, slots=True)
class MediaLost:
    """The party has sent no RTP for `media_timeout` seconds though it is not on hold."""

    leg: Leg


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """One whole digit, RFC 4733 event or SIP INFO."""

    leg: Leg
    digit: str = field(repr=False)
    duration_ms: int


@dataclass(frozen=True, slots=True)
class PromptFinished:
    """The prompt was played to its end, or could not be played."""


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """The client sent DELETE."""


@dataclass(frozen=True, slots=True)
class QuotaGranted:
    """How long the call may talk in all, as the pool of minutes says; no longer than before: not now."""

    seconds: int


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
    | LegProgress
    | EarlyMedia
    | LegAnswered
    | LegEnded
    | LegRedirected
    | LegHeld
    | MediaLost
    | DigitPressed
    | PromptFinished
    | ReleaseRequested
    | QuotaGranted
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
    number: str | None = None
    """Where a redirection leads; None: the party's own number."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """CANCEL or BYE, whichever the leg's dialog needs."""

    leg: Leg
    q850: int
    """The cause in its Reason header (RFC 3326)."""


@dataclass(frozen=True, slots=True)
class SetAudio:
    """Connect exactly this, also when a re-INVITE gives a leg a new stream."""

    plan: AudioPlan


@dataclass(frozen=True, slots=True)
class PlayPrompt:
    """Answered by `PromptFinished`; replaces the prompt that plays."""

    name: str


@dataclass(frozen=True, slots=True)
class StopPrompt:
    pass


@dataclass(frozen=True, slots=True)
class SendDigit:
    leg: Leg
    digit: str = field(repr=False)
    duration_ms: int


@dataclass(frozen=True, slots=True)
class StartRecording:
    pass


@dataclass(frozen=True, slots=True)
class StopRecording:
    """Answered by `RecordingFinished`."""


@dataclass(frozen=True, slots=True)
class ExtendQuota:
    """Ask the pool for more; answered by `QuotaGranted`."""

    granted: int
    """Seconds, until now."""


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
    | SetAudio
    | PlayPrompt
    | StopPrompt
    | SendDigit
    | StartRecording
    | StopRecording
    | ExtendQuota
    | StartTimer
    | StopTimer
    | Publish
    | Forget
)
