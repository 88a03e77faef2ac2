"""How a leg comes to its end on the wire, whatever is late, lost, crossing or never said."""

from __future__ import annotations

import pytest

from state.call import DisconnectionReason as Reason
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, call, cause, connect, q850, ring
from tests.support.lossy_path import LossyPath
from tests.support.sip_client import SipText
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

BYES = 11
"""Copies of a request that nobody answers (RFC 3261, timers E and F: 0, 0.5, 1.5, 3.5 ... 31.5 s)."""


@pytest.fixture(scope="module")
def overrides(path: LossyPath | None) -> Overrides:
    # Over the lossy path: time for the INVITE's copies, of which four may be lost.
    no_progress, no_answer = (9.0, 12.0) if path else (1.5, 3.0)
    return {"call": {"no_progress_timeout": no_progress, "no_answer_timeout": no_answer}}


def copies(phone: Phone, message: SipText) -> int:
    """How often it has come from the engine."""
    return sum(heard.message == message and not heard.sent for heard in phone.log.copy())


def sent_copies(product: Product, call_id: str, message: SipText) -> int:
    """How often the engine has sent it, by its own trace."""
    return sum(m.text == message.text and m.direction == "sent" for m in product.sip_messages(call_id))


def answer_too_late(phone: Phone, path: LossyPath | None) -> None:
    """A lost ACK is not repeated once the dialog is over; the BYE, which is, ends the phone's call."""
    answer = phone.respond("200 OK", rtp_port=9)
    if path is None:
        phone.acknowledged(answer)


# --- nobody answers


@pytest.mark.parametrize("leg", ["caller", "callee"])
@pytest.mark.parametrize("progress", ["100 Trying", "180 Ringing"])
def test_a_phone_that_nobody_answers_is_cancelled_with_cause_19(
    product: Product, trunk: SipTrunk, leg: str, progress: str
) -> None:
    """A 100 is progress too: it is the no-answer timer that ends the call, not the shorter one."""
    called = call(product, trunk, leg)
    called.phone.respond(progress)
    assert_ended(product, called.call_id, called.reason("NoAnswer"), timeout=30.0)
    assert cause(called.phone, "CANCEL") == "Q.850;cause=19"
    if leg == "callee":
        assert cause(called.caller, "BYE") == "Q.850;cause=19"
    called.phone.wait_for("ACK")


@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_a_network_that_says_nothing_is_given_up_and_a_late_180_is_cancelled(
    product: Product, trunk: SipTrunk, leg: str
) -> None:
    called = call(product, trunk, leg)
    assert_ended(product, called.call_id, called.reason("NoAnswer"), timeout=30.0)
    if leg == "callee":
        assert cause(called.caller, "BYE") == "Q.850;cause=18"
    # RFC 3261, 9.1: no CANCEL before a provisional response.
    assert not called.phone.received("CANCEL")
    called.phone.respond("180 Ringing")
    assert cause(called.phone, "CANCEL") == "Q.850;cause=18"
    called.phone.wait_for("ACK")


@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_an_answer_that_comes_after_we_gave_up_is_acknowledged_and_ended(
    product: Product, trunk: SipTrunk, path: LossyPath | None, leg: str
) -> None:
    called = call(product, trunk, leg)
    assert_ended(product, called.call_id, called.reason("NoAnswer"), timeout=30.0)
    answer_too_late(called.phone, path)
    assert cause(called.phone, "BYE") == "Q.850;cause=18"


# --- CANCEL and the answer


def test_a_phone_that_knows_nothing_of_our_cancel_but_answers_is_hung_up(
    product: Product, trunk: SipTrunk, path: LossyPath | None
) -> None:
    called = call(product, trunk, "callee")
    called.phone.answers_cancel = False
    ring(product, called)
    assert product.delete(called.call_id) == 204
    called.phone.respond_to(called.phone.wait_for("CANCEL"), "481 Call/Transaction Does Not Exist")
    answer_too_late(called.phone, path)
    assert cause(called.phone, "BYE") == "Q.850;cause=16"
    assert_ended(product, called.call_id, Reason.HANG_UP)


def test_an_answer_whose_ack_was_lost_is_acknowledged_again(product: Product, trunk: SipTrunk) -> None:
    talk = connect(product, trunk)
    (ack,) = talk.callee.received("ACK")
    (answer,) = {
        heard.message for heard in talk.callee.log.copy() if heard.sent and heard.message.status == 200
    }
    talk.callee.send(answer.text)
    talk.callee.send(answer.text)
    wait_until(lambda: copies(talk.callee, ack) >= 3, what="two more ACKs")
    assert product.event_states(talk.call_id).count("connected") == 1
    talk.end()
    talk.callee.wait_for("BYE")


@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_the_second_of_two_phones_that_answer_is_hung_up_and_the_first_talks_on(
    product: Product, trunk: SipTrunk, path: LossyPath | None, leg: str
) -> None:
    """A proxy forked the INVITE, and both answered (RFC 3261, 13.2.2.4); 26 is non-selected user clearing."""
    talk = connect(product, trunk)
    phone = talk.phone(leg)
    second = phone.respond("200 OK", rtp_port=9, tag="fork")
    if path is None:  # an ACK that is lost is not repeated; the BYE, which is, ends the phone's call
        phone.acknowledged(second)
    bye = phone.wait_for("BYE")
    assert (bye.tag("To"), q850(bye)) == ("fork", "Q.850;cause=26")
    assert product.status(talk.call_id) == "connected"
    talk.end()
    bye = phone.wait_for("BYE", count=2)
    assert (bye.tag("To"), q850(bye)) == (phone.tag, "Q.850;cause=16")


# --- hanging up


@pytest.mark.parametrize("progress", [None, "100 Trying", "183 Session Progress"])
def test_the_caller_may_hang_up_whatever_the_callee_s_network_has_said(
    product: Product, trunk: SipTrunk, progress: str | None
) -> None:
    called = call(product, trunk, "callee")
    if progress:
        ring(product, called, progress)
    called.caller.bye("Reason: Q.850;cause=31")
    assert_ended(product, called.call_id, Reason.CALLER_ABANDON)
    if not progress:
        called.phone.respond("180 Ringing")
    assert cause(called.phone, "CANCEL") == "Q.850;cause=31"
    called.phone.wait_for("ACK")


def test_a_caller_who_hangs_up_while_the_callee_answers_leaves_no_phone_up(
    product: Product, trunk: SipTrunk
) -> None:
    called = call(product, trunk, "callee")
    called.phone.respond("180 Ringing")
    answer = called.phone.respond("200 OK", rtp_port=9)
    called.caller.bye()
    called.phone.acknowledged(answer)
    assert cause(called.phone, "BYE") == "Q.850;cause=16"
    ended = product.wait_ended(called.call_id)
    assert ended.reason in (Reason.HANG_UP, Reason.CALLER_ABANDON)


@pytest.mark.parametrize(("leg", "reason"), [("caller", Reason.CALLER_ABANDON), ("callee", Reason.HANG_UP)])
def test_a_phone_that_hangs_up_at_once_after_its_answer_ends_the_call(
    product: Product, trunk: SipTrunk, leg: str, reason: Reason
) -> None:
    called = call(product, trunk, leg)
    called.phone.answer()
    bye = called.phone.bye()
    assert called.phone.response_to(bye).status == 200
    assert_ended(product, called.call_id, reason)


# --- what is never answered


def test_a_bye_and_an_invite_that_are_never_answered_end_with_their_transactions(
    product: Product, trunk: SipTrunk
) -> None:
    """The outcome does not wait for them; 32 s later nothing of them is left either."""
    silent = call(product, trunk, "caller")
    deaf = call(product, trunk, "caller")
    deaf.phone.answers_cancel = False
    ring(product, deaf)
    talk = connect(product, trunk)
    for phone in (talk.caller, talk.callee):
        phone.answers_bye = False
    product.wait_ended(silent.call_id)
    product.wait_ended(deaf.call_id)
    talk.end()
    product.wait_idle()
    bye = talk.callee.wait_for("BYE")
    wait_until(lambda: product.engine_status().dialogs == 0, 60, "the end of all dialogs")
    assert sent_copies(product, talk.call_id, bye) == BYES
    # What comes now belongs to nothing.
    refused = talk.callee.response_to(talk.callee.request("INFO"))
    assert refused.status == 481
    for call_id in (silent.call_id, deaf.call_id, talk.call_id):
        assert product.event_states(call_id).count("disconnected") == 1
