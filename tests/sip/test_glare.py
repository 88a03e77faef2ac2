"""Two offers that meet (RFC 3261, section 14): 491, and then again, later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from state.call import DisconnectionReason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import PLAIN, TWO_CODECS, Talk, talking
from tests.support.audio import has_tone
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import Direction
from tests.support.sip_client import SipText
from tests.support.sip_trunk import Phone, SipTrunk

CALLER_TONE, CALLEE_TONE = 440.0, 1000.0
DELAY = 2.1, 4.0
"""Seconds before the one who chose the Call-ID tries again."""


@pytest.fixture
def rtp() -> Iterator[tuple[RtpPeer, RtpPeer]]:
    with RtpPeer(CALLER_TONE) as caller, RtpPeer(CALLEE_TONE) as callee:
        yield caller, callee


@pytest.fixture
def talk(product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]) -> Iterator[Talk]:
    """Connected; the test answers the re-INVITE that the callee gets."""
    with talking(product, trunk, *rtp, callee_sdp=TWO_CODECS, answers_reinvite=False) as connected:
        yield connected


def answer(phone: Phone, offer: SipText, rtp: RtpPeer) -> None:
    accepted = phone.respond_to(offer, "200 OK", sdp=replace(PLAIN, port=rtp.port))
    if offer.method == "INVITE":
        phone.acknowledged(accepted)


def refuse(phone: Phone, offer: SipText) -> None:
    refused = phone.respond_to(offer, "491 Request Pending")
    if offer.method == "INVITE":
        phone.acknowledged(refused)


def seconds_between(phone: Phone, former: SipText, later: SipText) -> float:
    """From our response to `former` until `later` came."""
    answered = next(h.at for h in phone.log if h.sent and h.message.branch == former.branch)
    return next(h.at for h in phone.log if h.message == later) - answered


def assert_both_heard(rtp: tuple[RtpPeer, RtpPeer]) -> None:
    for peer, tone in zip(rtp, (CALLEE_TONE, CALLER_TONE), strict=True):
        peer.wait_for_more_audio(packets=10)
        since = peer.wait_for_more_audio(packets=20)
        assert has_tone(peer.samples(since=since), tone)


def test_an_offer_that_is_told_to_wait_comes_again(talk: Talk, rtp: tuple[RtpPeer, RtpPeer]) -> None:
    phone = talk.callee
    first = phone.wait_for_reinvite()
    refuse(phone, first)
    second = phone.wait_for_reinvite(count=2)
    assert second.cseq > first.cseq
    low, high = DELAY
    assert low - 0.05 <= seconds_between(phone, first, second) <= high + 2
    # As often as it takes.
    refuse(phone, second)
    answer(phone, phone.wait_for_reinvite(count=3), rtp[1])
    assert_both_heard(rtp)


def test_an_offer_that_meets_ours_is_told_to_wait(talk: Talk, rtp: tuple[RtpPeer, RtpPeer]) -> None:
    phone = talk.callee
    ours = phone.wait_for_reinvite()
    hold = replace(PLAIN, port=rtp[1].port, direction=Direction.SENDONLY)
    assert phone.reinvite(hold).status == 491
    assert phone.update(hold).status == 491
    answer(phone, ours, rtp[1])
    assert phone.reinvite(hold).sdp.direction is Direction.RECVONLY
    assert phone.reinvite(replace(hold, direction=Direction.SENDRECV)).status == 200
    assert_both_heard(rtp)


def test_two_offers_that_refuse_each_other_both_succeed_in_the_end(
    talk: Talk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    phone = talk.callee
    ours = phone.wait_for_reinvite()
    own = replace(PLAIN, port=rtp[1].port)
    assert phone.reinvite(own).status == 491
    refuse(phone, ours)
    # Who did not choose the Call-ID comes first: within 2 s.
    assert phone.reinvite(own).status == 200
    answer(phone, phone.wait_for_reinvite(count=2), rtp[1])
    assert_both_heard(rtp)


def test_an_update_of_ours_comes_again_too(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    allow = ["Allow: INVITE, ACK, BYE, CANCEL, UPDATE"]
    with talking(
        product, trunk, *rtp, callee_sdp=TWO_CODECS, callee_headers=allow, answers_reinvite=False
    ) as talk:
        first = talk.callee.wait_for("UPDATE")
        refuse(talk.callee, first)
        second = talk.callee.wait_for("UPDATE", count=2)
        assert seconds_between(talk.callee, first, second) >= DELAY[0] - 0.05
        answer(talk.callee, second, rtp[1])
        assert_both_heard(rtp)


def test_a_call_may_end_while_an_offer_waits(product: Product, talk: Talk) -> None:
    refuse(talk.callee, talk.callee.wait_for_reinvite())
    talk.end()
    product.wait_idle()
    assert len(talk.callee.reinvites()) == 1


def test_the_scenario(sipp: ScenarioTrunk) -> None:
    with sipp.playing("glare"):
        call_id = sipp.product.create(fresh_number("01"), fresh_number("99"))
        assert sipp.product.wait_ended(call_id, timeout=40).reason is DisconnectionReason.HANG_UP
