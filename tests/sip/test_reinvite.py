"""What a party may change in mid-call, by re-INVITE or UPDATE (RFC 3264, section 8): address, port, codec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from state.call import DisconnectionReason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import PLAIN, talking
from tests.support.audio import has_tone
from tests.support.rtp_peer import PCMA as PCMA_TYPE
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import PCMA, PCMU, Direction, Format, Sdp, telephone_event
from tests.support.sip_trunk import SipTrunk

CALLER_TONE, CALLEE_TONE = 440.0, 1000.0
ILBC = Format(110, "iLBC")


@pytest.fixture
def rtp() -> Iterator[tuple[RtpPeer, RtpPeer]]:
    with RtpPeer(CALLER_TONE) as caller, RtpPeer(CALLEE_TONE) as callee:
        yield caller, callee


def assert_heard(peer: RtpPeer, tone: float) -> None:
    """From now on, once what was on its way has come."""
    peer.wait_for_more_audio(packets=10)
    since = peer.wait_for_more_audio(packets=20)
    assert has_tone(peer.samples(since=since), tone)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_audio_follows_to_another_address_port_and_codec(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer], method: str
) -> None:
    caller, callee = rtp
    with (
        talking(product, trunk, caller, callee) as talk,
        RtpPeer(CALLEE_TONE, host="127.0.0.2", codec=PCMA_TYPE) as moved,
    ):
        assert_heard(callee, CALLER_TONE)
        callee.pause()
        moved.remote = talk.callee.offer.address
        sdp = Sdp(moved.port, (PCMA, telephone_event(97)), host=moved.host)
        phone = talk.callee
        answer = phone.reinvite(sdp) if method == "INVITE" else phone.update(sdp)
        assert answer.status == 200
        assert answer.sdp.encodings == ["PCMA", "telephone-event"]
        assert_heard(moved, CALLER_TONE)
        # Digits too, at their new payload type.
        caller.send_digits("7", payload_type=talk.caller.offer.payload_type("telephone-event"))
        moved.wait_for_digits("7", payload_type=97)
        assert {p.payload_type for p in moved.packets()} == {PCMA_TYPE, 97}
        assert answer.sdp.address == moved.remote
        assert_heard(caller, CALLEE_TONE)
        at_the_old_place = len(callee.packets())
        assert_heard(moved, CALLER_TONE)
        assert len(callee.packets()) == at_the_old_place
        # The other party's leg has nothing to do with it.
        assert not talk.caller.reinvites()
        assert caller.packets()[-1].payload_type == 0


@pytest.mark.usefixtures("nothing_lost")
def test_a_refresh_that_changes_nothing_interrupts_nothing(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    caller, callee = rtp
    with talking(product, trunk, caller, callee) as talk:
        callee.wait_for_audio(packets=10)
        same = replace(PLAIN, port=callee.port)
        for method in ("INVITE", "UPDATE", "INVITE"):
            answer = talk.callee.reinvite(same) if method == "INVITE" else talk.callee.update(same)
            assert answer.sdp.address == talk.callee.offer.address
        callee.wait_for_more_audio(packets=20)
        assert len({p.ssrc for p in callee.packets()}) == 1
        assert callee.missing_sequences() == 0
        assert callee.longest_timestamp_gap() == 0


def test_an_offer_without_any_codec_of_ours_is_refused_and_the_call_goes_on(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    caller, callee = rtp
    with talking(product, trunk, caller, callee) as talk:
        for formats in ((ILBC,), (ILBC, telephone_event()), (telephone_event(),)):
            sdp = Sdp(callee.port, formats)
            assert talk.callee.reinvite(sdp).status == 488
            assert talk.callee.update(sdp).status == 488
        ssrcs = {p.ssrc for p in callee.packets()}
        assert_heard(callee, CALLER_TONE)
        assert_heard(caller, CALLEE_TONE)
        assert {p.ssrc for p in callee.packets()} == ssrcs
        # And what it then offers is taken.
        assert talk.callee.reinvite(Sdp(callee.port, (ILBC, PCMA))).sdp.encodings == ["PCMA"]
        callee.codec = PCMA_TYPE
        assert_heard(callee, CALLER_TONE)
        assert_heard(caller, CALLEE_TONE)


def test_asked_for_an_offer_we_make_one_and_take_the_answer_in_the_ack(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    """RFC 3261, section 14.2: the offer in the 2xx, the answer in the ACK."""
    caller, callee = rtp
    with talking(product, trunk, caller, callee) as talk:
        offer = talk.callee.reinvite(None)
        assert offer.status == 200
        assert offer.sdp.direction is Direction.SENDRECV
        assert offer.sdp.address == talk.callee.offer.address
        assert set(offer.sdp.encodings) >= {"PCMU", "telephone-event"}
        assert_heard(callee, CALLER_TONE)
        assert_heard(caller, CALLEE_TONE)


def test_an_offer_to_close_the_audio_is_refused(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    """Port 0 (RFC 3264, section 8.2): a telephone call has nothing else."""
    caller, callee = rtp
    with talking(product, trunk, caller, callee) as talk:
        assert talk.callee.reinvite(Sdp(0, PLAIN.formats)).status == 488
        assert_heard(callee, CALLER_TONE)
        assert_heard(caller, CALLEE_TONE)


def test_a_phone_that_answers_with_two_codecs_is_offered_one(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    """Or it might send either at any time, and we would have to be ready for both."""
    caller, callee = rtp
    two = Sdp(0, (PCMU, PCMA, telephone_event()))
    with talking(product, trunk, caller, callee, callee_sdp=two, answers_reinvite=False) as talk:
        reinvite = talk.callee.wait_for_reinvite()
        assert reinvite.sdp.encodings == ["PCMU", "telephone-event"]
        talk.callee.acknowledged(
            talk.callee.respond_to(reinvite, "200 OK", sdp=replace(PLAIN, port=callee.port))
        )
        assert_heard(callee, CALLER_TONE)
        assert_heard(caller, CALLEE_TONE)
        assert len(talk.callee.reinvites()) == 1


@pytest.mark.parametrize("scenario", ["reinvite-moves-media", "reinvite-without-offer", "reinvite-refused"])
def test_the_scenario(sipp: ScenarioTrunk, scenario: str) -> None:
    with sipp.playing(scenario):
        call_id = sipp.product.create(fresh_number("01"), fresh_number("99"))
        call = sipp.product.wait_ended(call_id)
    assert call.reason is DisconnectionReason.HANG_UP
    assert call.callee_quality is not None
    assert call.callee_quality.codec == ("PCMA" if scenario == "reinvite-moves-media" else "PCMU")
