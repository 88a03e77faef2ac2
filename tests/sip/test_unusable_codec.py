"""An answer without any codec of ours: the leg is acknowledged and ended, and the call says which it was."""

from __future__ import annotations

import pytest

from state.call import CallState
from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import cause
from tests.sip.scenarios import ScenarioTrunk
from tests.support.lossy_path import LossyPath
from tests.support.sdp import PCMU, Format, Sdp, telephone_event
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

ILBC = Format(110, "iLBC")
ANSWERS = {
    "a codec that was not offered": Sdp(9, (ILBC,)),
    "digits but no audio": Sdp(9, (telephone_event(),)),
    "no stream": Sdp(0, (PCMU,)),
    "nothing": None,
}
INCOMPATIBLE = ("Q.850;cause=79", "Q.850;cause=88")
"""Service or option not implemented, incompatible destination (RFC 3398, section 8.2.6.1)."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"call": {"media_timeout": 0}}


def assert_acknowledged_and_ended(phone: Phone, answer: Sdp | None, path: LossyPath | None) -> None:
    """RFC 3261, section 13.2.2.4: every 2xx gets its ACK; what is in it may still be no use."""
    answered = phone.respond("200 OK", sdp=answer)
    if path is None:  # an ACK that is lost is not repeated once the dialog is over; the BYE is
        phone.acknowledged(answered)
    assert cause(phone, "BYE") in INCOMPATIBLE


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_of_the_caller(product: Product, trunk: SipTrunk, path: LossyPath | None, answer: Sdp | None) -> None:
    numbers = fresh_number(), fresh_number()
    call_id = product.create(*numbers)
    assert_acknowledged_and_ended(trunk.ringing_at(numbers[0]), answer, path)
    call = product.wait_ended(call_id)
    assert (call.state, call.reason, call.duration) == (CallState.DISCONNECTED, Reason.CALLER_FAILURE, 0)
    assert not trunk.find(numbers[1])


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_of_the_callee(product: Product, trunk: SipTrunk, path: LossyPath | None, answer: Sdp | None) -> None:
    numbers = fresh_number(), fresh_number()
    call_id = product.create(*numbers, recording=True)
    caller = trunk.ringing_at(numbers[0])
    caller.answer()
    assert_acknowledged_and_ended(trunk.ringing_at(numbers[1]), answer, path)
    call = product.wait_ended(call_id)
    assert (call.state, call.reason, call.duration) == (CallState.DISCONNECTED, Reason.CALLEE_FAILURE, 0)
    assert cause(caller, "BYE") in INCOMPATIBLE


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_the_call_does_not_wait_for_a_phone_that_is_gone(product: Product, trunk: SipTrunk, who: str) -> None:
    numbers = fresh_number(), fresh_number()
    call_id = product.create(*numbers)
    phone = trunk.ringing_at(numbers[0])
    if who == "callee":
        phone.answer()
        phone = trunk.ringing_at(numbers[1])
    phone.answers_bye = False
    phone.respond("200 OK", sdp=Sdp(9, (ILBC,)))
    failure = Reason.CALLER_FAILURE if who == "caller" else Reason.CALLEE_FAILURE
    assert product.wait_ended(call_id).reason is failure, "long before the 32 s of an unanswered BYE"
    wait_until(lambda: sum(not heard.sent and heard.message.method == "BYE" for heard in phone.log) > 2)
    assert len(phone.received("BYE")) == 1, "one, however often it is sent"


def test_the_scenario(sipp: ScenarioTrunk) -> None:
    with sipp.playing("unusable-codec"):
        call_id = sipp.product.create(fresh_number("01"), fresh_number("99"))
        assert sipp.product.wait_ended(call_id).reason is Reason.CALLEE_FAILURE
