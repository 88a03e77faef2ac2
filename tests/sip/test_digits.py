"""Digits of either party reach the other: RFC 4733 events and SIP INFO, in and out."""

from __future__ import annotations

import pytest

from tests.end_to_end.product import Product
from tests.sip.talk import PLAIN, talking
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import PCMU, Sdp, telephone_event
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

FORTY = "1111222345678900*#*#5555ABCD9876543210##"
"""Repeats too: two equal digits are two."""
BACK = FORTY[::-1]


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {
        "call": {"record_digits": True},
        "sip": {"log_level": 5},
        "log": {"level": "debug"},
    }


def test_forty_digits_at_ten_a_second_cross_both_ways(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee:
        sdp = Sdp(0, (PCMU, telephone_event(97)))
        with talking(product, trunk, caller, callee, callee_sdp=sdp) as talk:
            offered = talk.callee.offer.payload_type("telephone-event")
            print(talk.callee.invite.text)
            caller.send_digits(FORTY, payload_type=offered, duration=60, interval=100)
            callee.send_digits(BACK, payload_type=offered, duration=60, interval=100)
            heard = callee.wait_for_digits(FORTY, payload_type=97)
            back = caller.wait_for_digits(BACK)
            for h in heard: print(h)
            call = talk.end()
            print(call)
            print(product.engine.log.read_text()[-6000:])
