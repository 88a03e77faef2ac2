"""A call between two phones that the test plays, brought as far as a test needs it."""

from __future__ import annotations

from dataclasses import dataclass

from state.call import Call, CallState
from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.sip_trunk import Phone, SipTrunk


@dataclass(frozen=True, slots=True)
class Talk:
    """Both have answered."""

    call_id: str
    caller: Phone
    callee: Phone


def call_caller(
    product: Product, trunk: SipTrunk, *, recording: bool | None = None
) -> tuple[str, str, Phone]:
    """The call's id, the callee's number, and the caller's phone, which has said nothing yet."""
    caller, callee = fresh_number(), fresh_number()
    call_id = product.create(caller, callee, recording=recording)
    return call_id, callee, trunk.ringing_at(caller)


def call_callee(
    product: Product, trunk: SipTrunk, *, caller_rtp: int = 9, recording: bool | None = None
) -> Talk:
    """The caller has answered; the callee's phone has said nothing yet."""
    call_id, number, caller = call_caller(product, trunk, recording=recording)
    caller.answer(caller_rtp)
    return Talk(call_id, caller, trunk.ringing_at(number))


def connect(
    product: Product,
    trunk: SipTrunk,
    *,
    caller_rtp: int = 9,
    callee_rtp: int = 9,
    recording: bool | None = None,
) -> Talk:
    talk = call_callee(product, trunk, caller_rtp=caller_rtp, recording=recording)
    talk.callee.answer(callee_rtp)
    product.wait_status(talk.call_id, "connected")
    return talk


def assert_ended(product: Product, call_id: str, reason: Reason, timeout: float = 15.0) -> Call:
    """`disconnected`, for this reason and once."""
    call = product.wait_ended(call_id, timeout)
    assert (call.state, call.reason) == (CallState.DISCONNECTED, reason)
    assert product.event_states(call_id).count("disconnected") == 1
    return call
