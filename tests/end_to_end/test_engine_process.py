"""The engine towards strangers, when it is asked to stop, and when it dies."""

from __future__ import annotations

import signal
import wave
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from state.call import CallState, DisconnectionReason, RecordingResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.sink import Sink
from tests.support.sip_client import HOST, SipDialog
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

STATES = ["initiating", "callingCaller", "callingCallee", "connected", "disconnected"]


@pytest.fixture
def own_product(trunk: SipTrunk, tmp_path: Path) -> Iterator[Product]:
    """For tests that end its processes."""
    with Product(tmp_path, trunk_port=trunk.port) as running:
        yield running


def connect(product: Product, trunk: SipTrunk, **fields: Any) -> tuple[str, Phone, Phone]:
    numbers = fresh_number(), fresh_number()
    call_id = product.create(*numbers, recording=True, **fields)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    callee = trunk.ringing_at(numbers[1])
    callee.answer()
    product.wait_status(call_id, "connected")
    return call_id, caller, callee


def test_an_unsolicited_invite_is_refused_with_403(product: Product) -> None:
    with SipDialog(fresh_number(), product.engine_sip_port()) as stranger:
        stranger.invite()
        refusal = stranger.expect(403)
        stranger.ack(refusal)
    product.wait_idle()


def test_options_is_answered_with_200(product: Product) -> None:
    with SipDialog("dialbridge", product.engine_sip_port()) as stranger:
        uri = f"sip:dialbridge@{HOST}:{product.engine_sip_port()}"
        stranger.request("OPTIONS", uri, branch="z9hG4bKoptions")
        stranger.expect(200)


def test_many_unsolicited_invites_leave_nothing_behind_and_do_not_stop_calls(
    product: Product, trunk: SipTrunk
) -> None:
    call_id, caller, _ = connect(product, trunk)
    for _ in range(50):
        with SipDialog(fresh_number(), product.engine_sip_port()) as stranger:
            stranger.invite()
            stranger.ack(stranger.expect(403))
    assert product.status(call_id) == "connected"
    caller.bye()
    product.wait_ended(call_id)
    product.wait_idle()


def test_sigterm_gives_live_calls_their_grace_then_ends_them(own_product: Product, trunk: SipTrunk) -> None:
    product = own_product
    talking, caller, callee = connect(product, trunk)
    ringing_number = fresh_number()
    ringing = product.create(ringing_number, fresh_number())
    phone = trunk.ringing_at(ringing_number)
    phone.respond("180 Ringing")

    product.engine.send_signal(signal.SIGTERM)
    # It drains: nobody is hung up yet, and new calls are refused.
    wait_until(lambda: product.post(fresh_number(), fresh_number()).status_code == 503, 5, "a refusal")
    assert not caller.received("BYE")
    assert product.engine.stop() == 0

    caller.wait_for("BYE")
    callee.wait_for("BYE")
    phone.wait_for("CANCEL")
    ended = product.call(talking)
    assert (ended.state, ended.reason) == (CallState.DISCONNECTED, DisconnectionReason.OTHER)
    assert ended.recording_result is RecordingResult.SUCCESS
    assert product.rest.recording(talking).status_code == 200
    failed = product.call(ringing)
    assert (failed.state, failed.reason, failed.duration) == (CallState.FAILED, None, None)
    assert not product.has_key("engine")
    assert not product.has_key("pair")


def test_a_call_that_ends_during_the_grace_ends_as_usual(own_product: Product, trunk: SipTrunk) -> None:
    call_id, caller, callee = connect(own_product, trunk)
    own_product.engine.send_signal(signal.SIGTERM)
    caller.bye()
    callee.wait_for("BYE")
    assert own_product.engine.stop() == 0
    assert own_product.call(call_id).reason is DisconnectionReason.HANG_UP


def test_the_calls_of_a_killed_engine_end_once_and_the_next_engine_serves(
    own_product: Product, trunk: SipTrunk, sink: Sink
) -> None:
    product = own_product
    talking, _, _ = connect(product, trunk, sink=sink.url)
    calling_number = fresh_number()
    calling = product.create(calling_number, fresh_number())
    trunk.ringing_at(calling_number).respond("180 Ringing")
    wait_until(lambda: live_recording_bytes(product) > 16000, what="half a second on the disk")

    product.engine.kill()
    lost = product.wait_ended(talking)
    assert (lost.state, lost.reason) == (CallState.DISCONNECTED, DisconnectionReason.OTHER)
    assert lost.recording_result is RecordingResult.FAIL
    assert product.wait_ended(calling).state is CallState.FAILED
    sink.wait_for(talking, "disconnected")
    assert sink.states(talking) == [
        "initiating",
        "callingCaller",
        "callingCallee",
        "connected",
        "disconnected",
    ]

    product.engine.start()
    product.wait_ready()
    # What the dead engine had recorded is repaired, and can be fetched.
    wait_until(lambda: product.rest.recording(talking).status_code == 200, 15, "the recording")
    with wave.open(BytesIO(product.rest.wav(talking))) as recording:
        assert recording.getframerate() == 8000
        assert recording.getnframes() > 8000
    assert product.call(talking).recording_result is RecordingResult.SUCCESS
    call_id, caller, _ = connect(product, trunk)
    caller.bye()
    assert product.wait_ended(call_id).reason is DisconnectionReason.HANG_UP
    assert not product.has_key("pair")
    wait_until(lambda: not live_recording_bytes(product), what="the end of all live recordings")


def live_recording_bytes(product: Product) -> int:
    """What the recorders of calls in progress have written, dead engines' included."""
    root = product.settings.recording.root
    return sum(path.stat().st_size for path in root.glob(".live/*/*.wav"))


def test_a_recording_is_saved_while_its_call_still_counts_as_live(
    trunk: SipTrunk, sink: Sink, tmp_path: Path
) -> None:
    """The engine is started again before anybody has missed it. Two files: the caller's and the callee's."""
    overrides: Overrides = {
        "recording": {"channels": "dual", "sample_rate": 16000},
        "engine": {"lost_after": 15.0},
    }
    with Product(tmp_path, trunk_port=trunk.port, overrides=overrides) as product:
        call_id, _, _ = connect(product, trunk, sink=sink.url)
        wait_until(lambda: live_recording_bytes(product) > 32000, what="half a second of both on the disk")
        product.engine.kill()
        product.engine.start()
        wait_until(lambda: product.call(call_id).recording_path, 14, "the repaired recording")
        assert product.status(call_id) == "connected"
        lost = product.wait_ended(call_id, 40)
        assert (lost.reason, lost.recording_result) == (DisconnectionReason.OTHER, RecordingResult.SUCCESS)
        assert sink.wait_for(call_id, "disconnected").event["data"]["recordingResult"] == "success"
        with wave.open(BytesIO(product.rest.wav(call_id))) as recording:
            assert (recording.getnchannels(), recording.getframerate()) == (2, 16000)
            assert recording.getnframes() > 16000


def test_killing_the_api_in_mid_call_changes_nothing_for_the_call(
    own_product: Product, trunk: SipTrunk, sink: Sink
) -> None:
    product = own_product
    call_id, caller, callee = connect(product, trunk, sink=sink.url)
    sink.wait_for(call_id, "connected")
    product.api.kill()
    product.notifier.kill()
    caller.bye()
    callee.wait_for("BYE")
    assert product.with_redis(lambda redis, keys: product._calls(redis, keys).wait_ended(call_id, 5))
    assert len(sink.deliveries(call_id)) == 4

    product.notifier.start()
    product.api.start()
    sink.wait_for(call_id, "disconnected")
    assert sink.states(call_id) == [
        "initiating",
        "callingCaller",
        "callingCallee",
        "connected",
        "disconnected",
    ]
    product.wait_ready()
    assert product.status(call_id) == "disconnected"
    assert product.rest.recording(call_id).status_code == 200


def test_a_call_goes_on_and_ends_while_redis_is_away(
    own_product: Product, trunk: SipTrunk, sink: Sink
) -> None:
    product = own_product
    call_id, caller, callee = connect(product, trunk, sink=sink.url)
    product.stop_redis()
    assert not caller.received("BYE")
    caller.bye()
    callee.wait_for("BYE")
    product.start_redis()
    sink.wait_for(call_id, "disconnected")
    assert sink.states(call_id) == STATES
    assert product.wait_ended(call_id).recording_result is RecordingResult.SUCCESS
    product.wait_idle()


def test_a_call_ends_once_redis_takes_writes_again(own_product: Product, trunk: SipTrunk, sink: Sink) -> None:
    """Redis answers, but refuses every write: out of memory."""
    product = own_product
    call_id, caller, callee = connect(product, trunk, sink=sink.url)
    product.refuse_writes()
    caller.bye()
    callee.wait_for("BYE")
    wait_until(lambda: product.post(fresh_number(), fresh_number()).status_code == 503, 10, "a refusal")
    assert product.status(call_id) == "connected"
    product.take_writes()
    sink.wait_for(call_id, "disconnected")
    assert sink.states(call_id) == STATES
    assert product.call(call_id).reason is DisconnectionReason.HANG_UP
    product.wait_ready()
    again, caller, _ = connect(product, trunk)
    caller.bye()
    assert product.wait_ended(again).reason is DisconnectionReason.HANG_UP
