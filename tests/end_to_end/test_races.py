"""What happens between two messages: DELETE in every state, and both parties hanging up at once.

The phones are played message by message, because SIPp cannot time these.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from state.call import Call, CallState, DisconnectionReason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.sip_trunk import Phone, SipTrunk


@pytest.fixture
def numbers() -> tuple[str, str]:
    return fresh_number(), fresh_number()


def assert_released(product: Product, call_id: str) -> Call:
    """DELETE answers 204, and from then on the call is `disconnected` by `hangUp`, once."""
    assert product.delete(call_id) == 204
    assert product.status(call_id) == "disconnected"
    call = product.call(call_id)
    assert (call.state, call.reason) == (CallState.DISCONNECTED, DisconnectionReason.HANG_UP)
    assert product.delete(call_id) == 409
    assert sum(event.state.is_terminal for event in product.events(call_id)) == 1
    return call


def assert_cancelled(phone: Phone) -> None:
    cancel = phone.wait_for("CANCEL")
    # RFC 3261, 9.1: the INVITE's own Request-URI, branch and CSeq number.
    assert cancel.start_line.split()[1] == phone.invite.start_line.split()[1]
    assert cancel.header("Via") == phone.invite.header("Via")
    assert cancel.header("CSeq").split()[0] == phone.invite.header("CSeq").split()[0]
    phone.wait_for("ACK")


def test_delete_before_the_engine_has_read_the_call(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str]
) -> None:
    product.engine.send_signal(signal.SIGSTOP)
    try:
        call_id = product.create(*numbers)
        assert product.status(call_id) == "initiating"
        with ThreadPoolExecutor(1) as client:
            answer = client.submit(product.delete, call_id)
            product.wait_commands(2)
            product.engine.send_signal(signal.SIGCONT)
            assert answer.result() == 204
    finally:
        product.engine.send_signal(signal.SIGCONT)
    assert product.status(call_id) == "disconnected"
    assert product.call(call_id).reason is DisconnectionReason.HANG_UP
    # The dial command stood before the release: the INVITE left, and its first response brings the CANCEL.
    caller = trunk.ringing_at(numbers[0])
    caller.respond("180 Ringing")
    assert_cancelled(caller)
    assert not trunk.find(numbers[1])
    product.wait_idle()


def test_delete_while_the_caller_has_said_nothing(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str]
) -> None:
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    assert_released(product, call_id)
    # RFC 3261, 9.1: no CANCEL before a provisional response; the first one brings it.
    assert not caller.received("CANCEL")
    caller.respond("100 Trying")
    assert_cancelled(caller)
    product.wait_idle()


def test_delete_while_the_caller_s_invite_has_only_a_100(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str]
) -> None:
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    caller.respond("100 Trying")
    product.wait_status(call_id, "callingCaller")
    assert_released(product, call_id)
    assert_cancelled(caller)
    product.wait_idle()


def test_delete_while_the_caller_s_phone_rings(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str]
) -> None:
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    caller.respond("180 Ringing")
    assert_released(product, call_id)
    assert_cancelled(caller)
    product.wait_idle()


@pytest.mark.parametrize("progress", [None, "100 Trying", "180 Ringing"])
def test_delete_while_the_callee_is_called(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str], progress: str | None
) -> None:
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    callee = trunk.ringing_at(numbers[1])
    if progress:
        callee.respond(progress)
        callee.trunk.ringing_at(numbers[1])
    product.wait_status(call_id, "callingCallee")
    call = assert_released(product, call_id)
    assert call.duration == 0
    caller.wait_for("BYE")
    if progress is None:
        callee.respond("180 Ringing")
    assert_cancelled(callee)
    product.wait_idle()


def test_delete_while_connected(product: Product, trunk: SipTrunk, numbers: tuple[str, str]) -> None:
    call_id = product.create(*numbers, recording=True)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    callee = trunk.ringing_at(numbers[1])
    callee.answer()
    product.wait_status(call_id, "connected")
    assert_released(product, call_id)
    # The recording can be fetched as soon as the call is over.
    assert product.rest.recording(call_id).status_code == 200
    caller.wait_for("BYE")
    callee.wait_for("BYE")
    product.wait_idle()


@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_an_answer_that_crosses_our_cancel_is_acknowledged_and_ended(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str], leg: str
) -> None:
    call_id = product.create(*numbers)
    phone = trunk.ringing_at(numbers[0])
    if leg == "callee":
        phone.answer()
        phone = trunk.ringing_at(numbers[1])
    phone.answers_cancel = False
    phone.respond("180 Ringing")
    assert_released(product, call_id)
    phone.wait_for("CANCEL")
    phone.answer()
    phone.wait_for("BYE")
    product.wait_idle(timeout=45)


def test_two_deletes_at_once_both_find_the_call_ended(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str]
) -> None:
    call_id = product.create(*numbers)
    trunk.ringing_at(numbers[0]).respond("180 Ringing")
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(product.delete(call_id))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 204 in answers
    assert set(answers) <= {204, 409}
    assert sum(event.state.is_terminal for event in product.events(call_id)) == 1


def test_both_parties_hang_up_at_the_same_moment(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str]
) -> None:
    call_id = product.create(*numbers, recording=True)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    callee = trunk.ringing_at(numbers[1])
    callee.answer()
    product.wait_status(call_id, "connected")
    caller.bye()
    callee.bye()
    call = product.wait_ended(call_id)
    assert (call.state, call.reason) == (CallState.DISCONNECTED, DisconnectionReason.HANG_UP)
    assert sum(event.state.is_terminal for event in product.events(call_id)) == 1
    caller.wait_for(200)
    callee.wait_for(200)
    product.wait_idle()


@pytest.mark.parametrize("side", [0, 1])
def test_either_party_may_hang_up_and_the_other_is_ended(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str], side: int
) -> None:
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    callee = trunk.ringing_at(numbers[1])
    callee.answer()
    product.wait_status(call_id, "connected")
    phones = (caller, callee)
    phones[side].bye()
    phones[1 - side].wait_for("BYE")
    assert product.wait_ended(call_id).reason is DisconnectionReason.HANG_UP
    product.wait_idle()


def test_the_caller_gives_up_while_the_callee_rings(
    product: Product, trunk: SipTrunk, numbers: tuple[str, str]
) -> None:
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    callee = trunk.ringing_at(numbers[1])
    callee.respond("180 Ringing")
    caller.bye()
    assert product.wait_ended(call_id).reason is DisconnectionReason.CALLER_ABANDON
    assert_cancelled(callee)
    product.wait_idle()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (("486 Busy Here",), DisconnectionReason.CALLER_BUSY),
        (("600 Busy Everywhere",), DisconnectionReason.CALLER_BUSY),
        (("408 Request Timeout",), DisconnectionReason.CALLER_NO_ANSWER),
        (("480 Temporarily Unavailable",), DisconnectionReason.CALLER_NO_ANSWER),
        (("480 Gone", "Reason: Q.850;cause=17"), DisconnectionReason.CALLER_BUSY),
        (("500 Server Error", "Reason: Q.850;cause=19"), DisconnectionReason.CALLER_NO_ANSWER),
        (("486 Busy Here", "Reason: Q.850;cause=34"), DisconnectionReason.CALLER_FAILURE),
        (("302 Moved", "Contact: <sip:+447700900001@192.0.2.1>"), DisconnectionReason.CALLER_FAILURE),
        (
            ("401 Unauthorized", 'WWW-Authenticate: Digest realm="x", nonce="y"'),
            DisconnectionReason.CALLER_FAILURE,
        ),
    ],
)
def test_what_the_caller_s_network_answers_becomes_the_reason(
    product: Product,
    trunk: SipTrunk,
    numbers: tuple[str, str],
    answer: tuple[str, ...],
    reason: DisconnectionReason,
) -> None:
    call_id = product.create(*numbers)
    trunk.ringing_at(numbers[0]).respond(*answer)
    call = product.wait_ended(call_id)
    assert (call.state, call.reason, call.duration) == (CallState.DISCONNECTED, reason, 0)
    assert not trunk.find(numbers[1])
    product.wait_idle()


def test_a_refused_refer_rings_nobody(product: Product, trunk: SipTrunk, numbers: tuple[str, str]) -> None:
    """A party must not place calls at the enterprise's cost (RFC 3515)."""
    victim = fresh_number()
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    callee = trunk.ringing_at(numbers[1])
    callee.answer()
    product.wait_status(call_id, "connected")
    callee.request("REFER", f"Refer-To: <sip:{victim}@127.0.0.1:{trunk.port}>")
    callee.wait_for(403)
    assert product.status(call_id) == "connected"
    assert_released(product, call_id)
    product.wait_idle()
    assert not trunk.find(victim)
