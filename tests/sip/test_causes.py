"""Q.850 causes: read from what one party's network says, told to the other party's (RFC 3326, RFC 3398)."""

from __future__ import annotations

import pytest

from state.call import DisconnectionReason as Reason
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, call, cause, connect, ring
from tests.support.sip_trunk import SipTrunk


@pytest.mark.parametrize("leg", ["caller", "callee"])
@pytest.mark.parametrize(
    ("answer", "ending", "q850"),
    [
        # RFC 3398, section 8.2.6.1
        (["404 Not Found"], "Failure", 1),
        (["410 Gone"], "Failure", 22),
        (["484 Address Incomplete"], "Failure", 28),
        (["486 Busy Here"], "Busy", 17),
        (["480 Temporarily Unavailable"], "NoAnswer", 18),
        (["488 Not Acceptable Here"], "Failure", 88),
        (["503 Service Unavailable", "Retry-After: 60"], "Failure", 41),
        (["603 Decline"], "Busy", 21),
        (["699 Whatever"], "Failure", 31),
        # The network's own cause wins over its status.
        (["503 Service Unavailable", 'Reason: Q.850;cause=34;text="no circuit"'], "Failure", 34),
        (["480 Temporarily Unavailable", "Reason: SIP;cause=480, Q.850;cause=19"], "NoAnswer", 19),
        (["500 Server Internal Error", "Reason: q.850 ; text=busy ; cause = 17"], "Busy", 17),
        # What is no cause is none.
        (["486 Busy Here", "Reason: Q.850;cause=999"], "Busy", 17),
        (["486 Busy Here", "Reason: SIP;cause=200"], "Busy", 17),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_why_a_party_is_not_reached_is_told_to_the_client_and_to_the_caller(
    product: Product, trunk: SipTrunk, leg: str, answer: list[str], ending: str, q850: int
) -> None:
    called = call(product, trunk, leg)
    called.phone.respond(*answer)
    assert_ended(product, called.call_id, called.reason(ending))
    called.phone.wait_for("ACK")
    if leg == "callee":
        assert cause(called.caller, "BYE") == f"Q.850;cause={q850}"


@pytest.mark.parametrize(("leg", "other"), [("caller", "callee"), ("callee", "caller")])
@pytest.mark.parametrize(
    ("said", "q850"),
    [
        ([], 16),
        (["Reason: Q.850;cause=31"], 31),
        (['Reason: Q.850;cause=27;text="out of order: +447700900123"'], 27),
        (['Reason: SIP;cause=200;text="Call completed elsewhere"'], 16),
        (["Reason: Q.850;cause=0"], 16),
        (["Reason: SIP;cause=600", "Reason: Q.850;cause=17"], 17),
    ],
    ids=str,
)
def test_the_cause_in_one_party_s_bye_and_nothing_else_of_it_is_in_the_other_s(
    product: Product, trunk: SipTrunk, leg: str, other: str, said: list[str], q850: int
) -> None:
    talk = connect(product, trunk)
    talk.phone(leg).bye(*said)
    assert cause(talk.phone(other), "BYE") == f"Q.850;cause={q850}"
    assert_ended(product, talk.call_id, Reason.HANG_UP)


def test_delete_is_a_normal_clearing_for_both(product: Product, trunk: SipTrunk) -> None:
    talk = connect(product, trunk)
    talk.end()
    assert cause(talk.caller, "BYE") == cause(talk.callee, "BYE") == "Q.850;cause=16"
    ringing = call(product, trunk, "callee")
    ring(product, ringing)
    assert product.delete(ringing.call_id) == 204
    assert cause(ringing.caller, "BYE") == cause(ringing.phone, "CANCEL") == "Q.850;cause=16"
