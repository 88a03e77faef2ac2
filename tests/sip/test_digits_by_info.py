"""A trunk that is configured to take digits by SIP INFO (`trunk.digits = "info"`)."""

from __future__ import annotations

import pytest

from state.call import DisconnectionReason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.conftest import StartProduct
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import talking
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"trunk": {"digits": "info"}}


def test_events_leave_as_info_though_the_phone_has_events(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        caller.send_digits("4", payload_type=talk.caller.offer.payload_type("telephone-event"), duration=90)
        assert talk.callee.wait_for("INFO").body.split() == ["Signal=4", "Duration=90"]
        assert callee.digits() == []
        # They are kept in the call's record only where that is asked for.
        assert talk.end().digits == ()


def test_an_unanswered_or_refused_info_does_not_hold_up_the_next(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        talk.callee.answers_info = False
        for digit in "12":
            assert talk.caller.info(digit).status == 200
        talk.callee.respond_to(talk.callee.wait_for("INFO"), "415 Unsupported Media Type")
        second = talk.callee.wait_for("INFO", count=2)
        assert second.body.startswith("Signal=2")
        talk.callee.respond_to(second, "200 OK")
        assert product.status(talk.call_id) == "connected"


@pytest.mark.parametrize("kept", [False, True])
def test_the_trace_tells_a_digit_only_if_digits_are_kept(
    start_product: StartProduct, overrides: Overrides, trunk: SipTrunk, kept: bool
) -> None:
    """Of either direction, and of a body that is refused; everything else stays as it was on the wire."""
    product = start_product({**overrides, "call": {"record_digits": kept}})
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        messages = []
        for content_type, body in (
            ("application/dtmf-relay", "Signal=8\r\nDuration=90\r\n"),
            ("application/dtmf", "8"),
        ):
            messages.append(talk.caller.request("INFO", body=body, content_type=content_type))
            talk.caller.response_to(messages[-1])
        messages.append(talk.callee.wait_for("INFO"))
        call = talk.end()
    assert [press.digit for press in call.digits] == (["8"] if kept else [])
    for message in messages:
        head, blank, body = message.text.partition("\r\n\r\n")
        shown = head + blank + (body if kept else body.replace("8", "x"))
        wait_until(
            lambda shown=shown: shown in [m.text for m in product.sip_messages(call.id)],  # type: ignore[misc]
            what=f"in the trace: {shown}",
        )


def test_the_scenario(sipp: ScenarioTrunk) -> None:
    with sipp.playing("digits-by-info"):
        call_id = sipp.product.create(fresh_number("01"), fresh_number("99"))
        call = sipp.product.wait_ended(call_id)
    assert call.reason is DisconnectionReason.HANG_UP
