"""A party whose RTP stops has lost the call, unless its SDP says that it does not send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from state.call import DisconnectionReason as Reason
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, cause, connect
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import Direction, Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

MEDIA_TIMEOUT = 1.0
"""Seconds."""
LONGER = 100
"""Packets of 20 ms: twice as long."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"call": {"media_timeout": MEDIA_TIMEOUT}}


@pytest.fixture
def peers() -> Iterator[dict[str, RtpPeer]]:
    with RtpPeer(440.0) as caller, RtpPeer(1000.0) as callee:
        yield {"caller": caller, "callee": callee}


@pytest.mark.parametrize(("leg", "other"), [("caller", "callee"), ("callee", "caller")])
def test_a_call_ends_when_one_party_s_rtp_stops(
    product: Product, trunk: SipTrunk, peers: dict[str, RtpPeer], leg: str, other: str
) -> None:
    talk = connect(product, trunk, caller_rtp=peers["caller"].port, callee_rtp=peers["callee"].port)
    for peer in peers.values():
        peer.wait_for_more_audio(packets=LONGER)
    assert product.status(talk.call_id) == "connected"
    peers[leg].pause()
    assert_ended(product, talk.call_id, Reason.OTHER)
    for phone in (talk.phone(leg), talk.phone(other)):
        assert cause(phone, "BYE") == "Q.850;cause=41"


def test_a_phone_that_never_sends_rtp_has_lost_the_call(
    product: Product, trunk: SipTrunk, peers: dict[str, RtpPeer]
) -> None:
    talk = connect(product, trunk, caller_rtp=peers["caller"].port)
    assert_ended(product, talk.call_id, Reason.OTHER)
    assert cause(talk.callee, "BYE") == "Q.850;cause=41"


@pytest.mark.parametrize(
    ("leg", "other", "direction"),
    [
        ("caller", "callee", Direction.SENDONLY),
        ("callee", "caller", Direction.INACTIVE),
        ("callee", "caller", Direction.RECVONLY),
    ],
)
def test_a_party_that_said_so_may_be_silent_until_it_says_otherwise(
    product: Product, trunk: SipTrunk, peers: dict[str, RtpPeer], leg: str, other: str, direction: Direction
) -> None:
    """Hold in its two forms, and a party that only listens."""
    talk = connect(product, trunk, caller_rtp=peers["caller"].port, callee_rtp=peers["callee"].port)
    phone = talk.phone(leg)
    own = Sdp(peers[leg].port)
    phone.reinvite(replace(own, direction=direction))
    peers[leg].pause()
    peers[other].wait_for_more_audio(packets=LONGER)
    assert product.status(talk.call_id) == "connected"
    phone.reinvite(own)
    assert_ended(product, talk.call_id, Reason.OTHER)
