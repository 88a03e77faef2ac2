"""Why a soak has failed: what of an ended call contradicts its phones, its client's wishes or itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.soak_load import Placed
from bench.soak_outcomes import HOLDS, TONES, course
from bench.soak_recordings import Recording
from bench.soak_settings import SESSION, Times
from state.call import Call, CallState, DisconnectionReason, RecordingResult
from state.sip_trace import SipMessage

LATE = 5.0
"""Seconds by which a busy machine may be late."""
MARGIN = 0.5
"""Seconds between what the record and the recording say of the same moment."""
NOTHING = 0.1
"""Seconds of talk, of which nothing need be recorded."""
SOUND_AFTER = 6.0
"""Seconds of talk in which each tone was recorded, after the longest prompt."""
AUDIBLE = 0.1
"""Of full scale; the phones' tones have 0.25."""
REFRESHED_AFTER = SESSION / 2 + 1
"""Seconds of talk in which both sessions were refreshed: at half time, counted from each leg's answer."""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """What there is of a call afterwards."""

    placed: Placed
    record: Call | None
    terminal_events: int
    at_sink: int
    """Terminal events that the sink got, without repetitions."""
    charged: int
    """Call detail records."""
    recording: Recording | str | None = None
    """What its client fetched, or why it could not; None: there should be none."""
    sip: tuple[SipMessage, ...] = ()
    """The SIP messages of a call that was so long that its sessions were refreshed."""


def talked(record: Call) -> float:
    """Seconds from `connected` to the end; 0 if it never was."""
    if record.connected_at is None or record.ended_at is None:
        return 0.0
    return (record.ended_at - record.connected_at).total_seconds()


def faults_of(call: EndedCall, times: Times) -> Iterator[str]:
    """In words, without the call's id."""
    if call.record is None:
        yield "has no record"
        return
    if call.terminal_events != 1 or call.at_sink != 1:
        yield f"{call.terminal_events} terminal events, {call.at_sink} at the sink"
    if call.charged != 1:
        yield f"{call.charged} call detail records"
    if not call.record.state.is_terminal:
        yield f"is still {call.record.state}"
        return
    yield from _outcome_faults(call.placed, call.record, times)
    yield from _recording_faults(call.placed, call.record, call.recording)
    if talked(call.record) > REFRESHED_AFTER:
        for leg, phone in (("caller", call.placed.caller), ("callee", call.placed.callee)):
            # A re-INVITE of the phone's own refreshes, too, so that ours would come too late to be seen.
            if phone != HOLDS and not is_refreshed(call.sip, leg):
                yield f"the {leg}'s session was not refreshed"


def _outcome_faults(placed: Placed, record: Call, times: Times) -> Iterator[str]:
    expected = course(placed.caller, placed.callee, times, prompts=bool(record.announcements.prompts))
    allowed = expected.reasons | ({DisconnectionReason.HANG_UP} if placed.deleted else frozenset())
    outcome = f"{record.state} {record.reason or 'without a reason'}"
    if record.state is CallState.FAILED or record.reason not in allowed:
        yield f"ended as {outcome}, not as {' or '.join(sorted(allowed))}"
    if record.connected_at is not None and not expected.may_connect:
        yield f"was connected ({outcome})"
    if record.reason is DisconnectionReason.OTHER and talked(record) < expected.talk - MARGIN:
        yield f"ended as {outcome} after {talked(record):.1f} s of talk, before the {expected.talk:g} s"
    if record.ended_at is not None:
        lasted = (record.ended_at - record.created_at).total_seconds()
        if lasted > expected.lasts + LATE:
            yield f"lasted {lasted:.1f} s ({outcome}), longer than its phones and timers allow"


def _recording_faults(placed: Placed, record: Call, recording: Recording | str | None) -> Iterator[str]:
    expected = None
    if placed.recorded:
        connected = record.connected_at is not None
        expected = RecordingResult.SUCCESS if connected else RecordingResult.NO_RECORD
    if record.recording_result is not expected:
        yield f"its recording: {record.recording_result}, not {expected}"
    if record.recording_result is not RecordingResult.SUCCESS:
        return
    if not isinstance(recording, Recording):
        yield f"its recording could not be fetched: {recording}"
        return
    talk = talked(record)
    if recording.seconds == 0 and talk > NOTHING:
        yield f"its recording is empty, of {talk:.1f} s of talk"
    elif abs(recording.seconds - talk) > MARGIN:
        yield f"{recording.seconds:.1f} s were recorded, of {talk:.1f} s of talk"
    channels = [{placed.caller}, {placed.callee}]
    if record.recording_channels == "mixed":
        channels = [{placed.caller, placed.callee}]
    if len(recording.peaks) != len(channels):
        yield f"its recording has {len(recording.peaks)} channels, not {len(channels)}"
    elif talk > SOUND_AFTER:
        for peak, phones in zip(recording.peaks, channels, strict=True):
            if peak < AUDIBLE and phones & TONES:
                yield f"nothing of the phones {' and '.join(sorted(phones))} is heard in its recording"


def is_refreshed(messages: tuple[SipMessage, ...], leg: str) -> bool:
    """Whether an UPDATE of ours was answered with 200 (RFC 4028, section 7.4)."""
    return any(
        message.leg == leg
        and message.direction == "received"
        and message.start_line.startswith("SIP/2.0 200")
        and "UPDATE" in _cseq(message)
        for message in messages
    )


def _cseq(message: SipMessage) -> str:
    lines = message.text.split("\r\n\r\n", 1)[0].split("\r\n")
    return next((line for line in lines if line.lower().startswith("cseq:")), "")
