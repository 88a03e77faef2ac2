"""The soak's judge: it must report each kind of fault, and nothing of a call that went well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.soak_settings import Times
from bench.soak_verdict import faults_of
from state.call import CallState, RecordingResult
from state.call import DisconnectionReason as Reason
from tests.bench.ended_calls import REFRESHES, ended, record, recorded

TIMES = Times()
GOOD = {
    "deleted while the parties talk": ended(record()),
    "deleted while the callee's phone rings": ended(record(talk=None), callee="11"),
    "deleted, but the busy phone was faster": ended(
        record(talk=None, reason=Reason.CALLEE_BUSY), callee="10"
    ),
    "a busy callee": ended(record(talk=None, reason=Reason.CALLEE_BUSY), callee="10", deleted=False),
    "nobody answers": ended(
        record(talk=None, lasted=14.0, reason=Reason.CALLEE_NO_ANSWER), callee="11", deleted=False
    ),
    "the maximum duration": replace(
        ended(record(talk=48.0, reason=Reason.OTHER), deleted=False), sip=REFRESHES
    ),
    "a session that the phone itself refreshed": replace(
        ended(record(talk=48.0, reason=Reason.OTHER), callee="22", deleted=False), sip=REFRESHES[:1]
    ),
    "a phone without audio": ended(record(talk=12.5, reason=Reason.OTHER), callee="26", deleted=False),
    "mixed": recorded(),
    "dual": recorded(peaks=(0.25, 0.25), recording_channels="dual"),
    "of one that does not speak": recorded(peaks=(0.25, 0.0), callee="26", recording_channels="dual"),
    "a moment of talk": recorded(seconds=0.0, peaks=(0.0,), talk=0.04),
    "never connected": replace(
        recorded(talk=None, recording_result=RecordingResult.NO_RECORD), recording=None
    ),
}

BAD = {
    "no record": (replace(ended(record()), record=None), "has no record"),
    "no terminal event": (replace(ended(record()), terminal_events=0), "0 terminal events, 1 at the sink"),
    "two terminal events": (replace(ended(record()), terminal_events=2), "2 terminal events, 1 at the sink"),
    "lost on the way to the sink": (replace(ended(record()), at_sink=0), "1 terminal events, 0 at the sink"),
    "told the sink twice": (replace(ended(record()), at_sink=2), "1 terminal events, 2 at the sink"),
    "charged twice": (replace(ended(record()), charged=2), "2 call detail records"),
    "still live": (ended(record(state=CallState.CONNECTED, reason=None)), "is still connected"),
    "an internal error": (
        ended(record(talk=None, state=CallState.FAILED, reason=None)),
        "ended as failed without a reason, not as hangUp or other",
    ),
    "hung up by nobody": (ended(record(), deleted=False), "ended as disconnected hangUp, not as other"),
    "a busy phone that did not answer": (
        ended(record(talk=None, reason=Reason.CALLEE_NO_ANSWER), callee="10"),
        "ended as disconnected calleeNoAnswer, not as calleeBusy or hangUp",
    ),
    "the wrong party": (
        ended(record(talk=None, reason=Reason.CALLER_BUSY), callee="10", deleted=False),
        "ended as disconnected callerBusy, not as calleeBusy",
    ),
    "connected to a busy phone": (ended(record(), callee="10"), "was connected (disconnected hangUp)"),
    "broken off": (
        ended(record(reason=Reason.OTHER), deleted=False),
        "ended as disconnected other after 10.0 s of talk, before the 48 s",
    ),
    "a timer that did not fire": (
        ended(record(talk=None, lasted=24.0), callee="11"),
        "lasted 24.0 s (disconnected hangUp), longer than its phones and timers allow",
    ),
    "a session that was not refreshed": (
        replace(ended(record(talk=48.0, reason=Reason.OTHER), deleted=False), sip=REFRESHES[:1]),
        "the callee's session was not refreshed",
    ),
    "a recording that failed": (
        recorded(recording_result=RecordingResult.FAIL),
        "its recording: fail, not success",
    ),
    "a recording that is missing": (
        recorded(recording_result=RecordingResult.NO_RECORD),
        "its recording: noRecord, not success",
    ),
    "a recording of nobody": (
        recorded(talk=None, seconds=0.0),
        "its recording: success, not noRecord",
    ),
    "recorded against the client's will": (
        ended(record(recording_result=RecordingResult.NO_RECORD)),
        "its recording: noRecord, not None",
    ),
    "a recording that is not there": (
        replace(recorded(), recording="GET is answered with 404"),
        "its recording could not be fetched: GET is answered with 404",
    ),
    "empty": (recorded(seconds=0.0, peaks=(0.0,)), "its recording is empty, of 10.0 s of talk"),
    "half of it": (recorded(seconds=5.0), "5.0 s were recorded, of 10.0 s of talk"),
    "more than was said": (recorded(seconds=12.0), "12.0 s were recorded, of 10.0 s of talk"),
    "one channel": (recorded(recording_channels="dual"), "its recording has 1 channels, not 2"),
    "silence": (
        recorded(peaks=(0.0,)),
        "nothing of the phones 01 and 02 is heard in its recording",
    ),
    "silence of one party": (
        recorded(peaks=(0.25, 0.0), recording_channels="dual"),
        "nothing of the phones 01 is heard in its recording",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_said_of_a_call_that_went_well(name: str) -> None:
    assert list(faults_of(GOOD[name], TIMES)) == []


@pytest.mark.parametrize("name", BAD)
def test_each_fault_is_reported(name: str) -> None:
    call, fault = BAD[name]
    assert fault in list(faults_of(call, TIMES))
