"""One recorded call from POST to recording, seen from every side: SIPp, both ears, sink, REST and Redis."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import soundfile

from state.call import Call, CallState, DisconnectionReason, RecordingResult
from tests.api.camara_schemas import validate
from tests.end_to_end.product import Product
from tests.support.audio import (
    RATE,
    Samples,
    has_tone,
    lacks_tone,
    longest_silence,
    mean_tone_level,
    tone_segments,
)
from tests.support.calls_client import SINK_TOKEN
from tests.support.rtp_peer import RtpPeer
from tests.support.sink import Delivery, Sink
from tests.support.sipp import SCENARIOS, SippServer, TracedMessage
from tests.support.stack_settings import ENTERPRISE_NUMBER
from tests.support.waiting import wait_until

CALLER, CALLEE = "+447911123441", "+447911123442"
CALLER_TONE, CALLEE_TONE = 440.0, 1000.0
RINGBACK = (400.0, 450.0)
TALK_PACKETS = 250
"""Of 20 ms: five seconds."""
LONGEST_GAP = 0.06
"""Seconds."""
MESSAGES_PER_LEG = 6
STATES = ["initiating", "callingCaller", "callingCallee", "connected", "disconnected"]


@dataclass(frozen=True)
class Witnessed:
    """Everything that was seen of one call."""

    call_id: str
    call: Call
    rest_states: list[str]
    redis_states: list[str]
    deliveries: list[Delivery]
    to_caller: list[TracedMessage]
    to_callee: list[TracedMessage]
    caller_heard: Samples
    callee_heard: Samples
    wav: bytes
    traced: list[tuple[str, str, str]]
    logs: list[Path]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witnessed]:
    folder = tmp_path_factory.mktemp("one-call")
    with (
        RtpPeer(CALLER_TONE) as caller,
        RtpPeer(CALLEE_TONE) as callee,
        SippServer(
            SCENARIOS / "two_parties.xml",
            folder,
            {"caller_rtp": str(caller.port), "callee_rtp": str(callee.port)},
        ) as phones,
        Product(folder, trunk_port=phones.port) as product,
        Sink() as sink,
    ):
        call_id = product.create(CALLER, CALLEE, sink=sink.url, recording=True)
        rest_states: list[str] = []
        for state in STATES[1:4]:
            sink.wait_for(call_id, state)
            rest_states.append(product.status(call_id))
        connected_at = monotonic()
        callee.wait_for_audio(packets=TALK_PACKETS)
        talked_until = monotonic()
        assert product.delete(call_id) == 204
        rest_states.append(product.status(call_id))
        sink.wait_for(call_id, "disconnected")
        product.wait_idle()
        wait_until(lambda: len(product.sip_messages(call_id)) >= 2 * MESSAGES_PER_LEG)
        assert phones.exit_status is None, phones.ended()
        yield Witnessed(
            call_id=call_id,
            call=product.call(call_id),
            rest_states=rest_states,
            redis_states=product.event_states(call_id),
            deliveries=sink.deliveries(call_id),
            to_caller=phones.messages(dialled=CALLER),
            to_callee=phones.messages(dialled=CALLEE),
            caller_heard=caller.samples(until=talked_until),
            callee_heard=callee.samples(since=connected_at, until=talked_until),
            wav=product.rest.wav(call_id),
            logs=[process.log for process in product.processes],
            traced=[(m.leg, m.direction, m.start_line) for m in product.sip_messages(call_id)],
        )


# --- SIP


def first(messages: list[TracedMessage], start: str) -> TracedMessage:
    return next(traced for traced in messages if traced.message.start_line.startswith(start))


def test_each_leg_is_invited_answered_acknowledged_and_ended(seen: Witnessed) -> None:
    for leg in (seen.to_caller, seen.to_callee):
        flow = [t.message.status or t.message.method for t in leg]
        assert flow == ["INVITE", 180, 200, "ACK", "BYE", 200]


def test_the_callee_is_invited_only_after_the_caller_has_answered(seen: Witnessed) -> None:
    answered = first(seen.to_caller, "SIP/2.0 200")
    assert answered.message.method == "INVITE"
    assert first(seen.to_callee, "INVITE").at > answered.at


def test_both_see_the_enterprise_s_number(seen: Witnessed) -> None:
    for leg in (seen.to_caller, seen.to_callee):
        invite = first(leg, "INVITE").message
        for header in ("From", "P-Asserted-Identity"):
            assert re.search(r"sip:([^@]+)@", invite.header(header))[1] == ENTERPRISE_NUMBER  # type: ignore[index]


@pytest.mark.parametrize("other", ["callee", "caller"])
def test_neither_party_s_number_is_anywhere_in_the_other_s_messages(seen: Witnessed, other: str) -> None:
    messages, number = (seen.to_caller, CALLEE) if other == "callee" else (seen.to_callee, CALLER)
    assert len(messages) == MESSAGES_PER_LEG
    for traced in messages:
        digits = re.sub(r"\D", "", traced.message.text)
        assert number.lstrip("+") not in digits
        assert number.lstrip("+")[2:] not in traced.message.text


def test_the_engine_s_own_trace_tells_the_same(seen: Witnessed) -> None:
    for leg, wire in (("caller", seen.to_caller), ("callee", seen.to_callee)):
        traced = [line for name, _, line in seen.traced if name == leg]
        assert traced == [t.message.start_line for t in wire]


# --- audio


def ringback_end(seen: Witnessed) -> float:
    """Seconds into what the caller heard at which the callee's tone begins."""
    return tone_segments(seen.caller_heard, CALLEE_TONE)[0].start


def test_the_caller_hears_ringback_until_the_callee_answers(seen: Witnessed) -> None:
    before = seen.caller_heard[: int(ringback_end(seen) * RATE)]
    first_ring = before[: int(0.35 * RATE)]
    assert all(has_tone(first_ring, frequency) for frequency in RINGBACK)
    assert lacks_tone(before, CALLEE_TONE)
    assert lacks_tone(before, CALLER_TONE)


def test_ringback_ends_with_the_answer(seen: Witnessed) -> None:
    after = seen.caller_heard[int((ringback_end(seen) + 0.1) * RATE) :]
    assert all(lacks_tone(after, frequency) for frequency in RINGBACK)


def test_the_caller_hears_the_callee_and_not_itself(seen: Witnessed) -> None:
    after = seen.caller_heard[int((ringback_end(seen) + 0.1) * RATE) :]
    assert has_tone(after, CALLEE_TONE)
    assert lacks_tone(after, CALLER_TONE)
    assert len(after) / RATE > 4
    assert longest_silence(after) <= LONGEST_GAP


def test_the_callee_hears_the_caller_and_not_itself(seen: Witnessed) -> None:
    heard = seen.callee_heard[int(0.2 * RATE) :]
    assert has_tone(heard, CALLER_TONE)
    assert lacks_tone(heard, CALLEE_TONE)
    assert len(heard) / RATE > 4
    assert longest_silence(heard) <= LONGEST_GAP


def test_the_recording_holds_both_at_equal_level_for_as_long_as_they_talked(seen: Witnessed) -> None:
    samples, rate = soundfile.read(io.BytesIO(seen.wav), dtype="int16")
    info = soundfile.info(io.BytesIO(seen.wav))
    assert (rate, info.channels, info.subtype, info.format) == (8000, 1, "PCM_16", "WAV")
    levels = [mean_tone_level(samples, tone) for tone in (CALLER_TONE, CALLEE_TONE)]
    assert min(levels) > -20
    assert abs(levels[0] - levels[1]) < 1
    assert all(lacks_tone(samples, frequency) for frequency in RINGBACK)
    assert seen.call.connected_at is not None
    assert seen.call.ended_at is not None
    connected = (seen.call.ended_at - seen.call.connected_at).total_seconds()
    assert abs(len(samples) / rate - connected) <= 0.1


# --- events, REST and Redis


def test_the_sink_gets_each_state_once_and_in_order(seen: Witnessed) -> None:
    assert [delivery.state for delivery in seen.deliveries] == STATES
    assert len({delivery.event["id"] for delivery in seen.deliveries}) == len(STATES)
    times = [delivery.event["time"] for delivery in seen.deliveries]
    assert times == sorted(times)


def test_rest_and_redis_agree_with_the_events_at_each_step(seen: Witnessed) -> None:
    assert seen.rest_states == STATES[1:]
    assert seen.redis_states == STATES


def test_each_delivery_is_an_authorised_cloud_event(seen: Witnessed) -> None:
    for delivery in seen.deliveries:
        validate("CallStatusChangedEvent", delivery.event)
        assert delivery.headers["content-type"].partition(";")[0] == "application/cloudevents+json"
        assert delivery.headers["authorization"] == f"Bearer {SINK_TOKEN}"
        assert delivery.event["subject"] == f"/calls/{seen.call_id}"
        assert delivery.event["type"] == "org.camaraproject.click-to-dial.v0.status-changed"
        data: dict[str, Any] = delivery.event["data"]
        assert (data["callId"], data["caller"], data["callee"]) == (seen.call_id, CALLER, CALLEE)


def test_only_the_last_event_tells_the_outcome(seen: Witnessed) -> None:
    *before, last = [delivery.event["data"] for delivery in seen.deliveries]
    for data in before:
        assert set(data) == {"callId", "caller", "callee", "status", "timestamp"}
        assert set(data["status"]) == {"state"}
    assert last["status"] == {"state": "disconnected", "reason": "hangUp"}
    assert last["recordingResult"] == "success"
    assert last["callDuration"] == str(seen.call.duration)


def test_the_record_tells_the_outcome(seen: Witnessed) -> None:
    call = seen.call
    assert (call.state, call.reason) == (CallState.DISCONNECTED, DisconnectionReason.HANG_UP)
    assert call.recording_result is RecordingResult.SUCCESS
    assert call.duration is not None
    assert 4 <= call.duration <= 60


def test_no_log_holds_a_full_number_or_a_token(seen: Witnessed) -> None:
    assert {log.name for log in seen.logs} == {"engine.log", "api.log", "notifier.log"}
    for log in seen.logs:
        text = log.read_text()
        for secret in (CALLER[1:], CALLEE[1:], SINK_TOKEN, "eyJ"):
            assert secret not in text, f"{log.name} holds {secret}"
