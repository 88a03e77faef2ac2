"""A call between phones that the test plays, brought as far as a test needs it."""

from __future__ import annotations

from dataclasses import dataclass

from state.call import Call, CallState
from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.talk import Talk
from tests.support.sip_client import SipText
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Called:
    """A call one of whose phones has got the INVITE and said nothing yet."""

    call_id: str
    leg: str
    phone: Phone
    caller: Phone
    """The same phone, if the caller is the one who is called."""

    def reason(self, ending: str) -> Reason:
        """`callerBusy` or `calleeBusy` for "Busy"."""
        return Reason(f"{self.leg}{ending}")


def call(
    product: Product,
    trunk: SipTrunk,
    leg: str,
    *,
    caller: str | None = None,
    callee: str | None = None,
    recording: bool | None = None,
) -> Called:
    """As far as the INVITE to `leg`; if that is the callee, the caller has answered."""
    numbers = caller or fresh_number(), callee or fresh_number()
    call_id = product.create(*numbers, recording=recording)
    first = trunk.ringing_at(numbers[0])
    if leg == "caller":
        return Called(call_id, leg, first, first)
    first.answer()
    return Called(call_id, leg, trunk.ringing_at(numbers[1]), first)


def connect(
    product: Product,
    trunk: SipTrunk,
    *,
    caller_rtp: int = 9,
    callee_rtp: int = 9,
    recording: bool | None = None,
) -> Talk:
    numbers = fresh_number(), fresh_number()
    call_id = product.create(*numbers, recording=recording)
    caller = trunk.ringing_at(numbers[0])
    caller.answer(caller_rtp)
    callee = trunk.ringing_at(numbers[1])
    callee.answer(callee_rtp)
    product.wait_status(call_id, "connected")
    return Talk(product, call_id, caller, callee)


def ring(product: Product, called: Called, status: str = "180 Ringing") -> None:
    """Until the engine has heard it: a CANCEL may leave now (RFC 3261, section 9.1)."""
    called.phone.respond(status)
    wait_until(
        lambda: any(
            status in m.start_line for m in product.sip_messages(called.call_id) if m.leg == called.leg
        ),
        what=f"{status} at the engine",
    )


def assert_ended(product: Product, call_id: str, reason: Reason, timeout: float = 15.0) -> Call:
    """`disconnected`, for this reason and once."""
    ended = product.wait_ended(call_id, timeout)
    assert (ended.state, ended.reason) == (CallState.DISCONNECTED, reason)
    assert product.event_states(call_id).count("disconnected") == 1
    return ended


def cause(phone: Phone, method: str) -> str:
    """The cause in the CANCEL or BYE that the engine sends to this phone."""
    return q850(phone.wait_for(method))


def q850(request: SipText) -> str:
    """The one Reason header in terms of Q.850; PJSIP may add another in its own words (RFC 3326)."""
    (value,) = (value for value in request.headers("Reason") if value.startswith("Q.850"))
    return value
