"""Wrong RTP and RTCP at the ports of a live call: a stranger's is not heard, a party's the talk survives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.product import Product
from tests.sip.torture.barrage import Pace, media_noise, own_media_noise, repeatable
from tests.sip.torture.malformed_media import MALFORMED_RTCP, MediaStranger
from tests.sip.torture.watched_calls import TONES, WatchedCall, watched_call
from tests.support.audio import mulaw_encode, tone
from tests.support.rtp import MALFORMED, write_packet
from tests.support.sip_trunk import SipTrunk

pytestmark = pytest.mark.paths("direct")
"""Strangers talk to the engine itself, from addresses of their own."""

PACKETS_PER_SECOND = 50.0


@pytest.fixture(scope="module")
def _talk(product: Product, trunk: SipTrunk) -> Iterator[WatchedCall]:
    with watched_call(product, trunk) as watched:
        yield watched


@pytest.fixture
def talk(_talk: WatchedCall) -> Iterator[WatchedCall]:
    """The same call for all tests, watched from the start of each; it must go on undisturbed after each."""
    _talk.let_them_talk(0.5)
    _talk.watch()
    yield _talk
    _talk.watch()
    _talk.let_them_talk(1.0)
    assert not _talk.faults()


@pytest.fixture
def stranger() -> Iterator[MediaStranger]:
    with MediaStranger() as sender:
        yield sender


def test_malformed_rtp_and_rtcp_of_a_stranger_disturb_nobody(
    product: Product, talk: WatchedCall, stranger: MediaStranger
) -> None:
    rounds, pace = 5, Pace(500)
    for _ in range(rounds):
        for phone in talk.phones:
            for datagrams, rtcp in ((MALFORMED, False), (MALFORMED_RTCP, True)):
                for datagram in datagrams.values():
                    stranger.send(datagram, phone.offer.address, rtcp=rtcp)
                    pace.wait()
    assert stranger.sent == rounds * 2 * (len(MALFORMED) + len(MALFORMED_RTCP))
    assert not talk.faults()
    assert not digits_heard(talk)
    assert not stranger.received()
    assert product.engine.exit_status() is None


def test_malformed_rtp_and_rtcp_of_a_party_disturb_nobody(talk: WatchedCall) -> None:
    """From the very address from which its audio comes."""
    pace = Pace(200)
    for peer in talk.ears.values():
        for datagrams, rtcp in ((MALFORMED, False), (MALFORMED_RTCP, True)):
            for datagram in datagrams.values():
                peer.send_raw(datagram, rtcp=rtcp)
                pace.wait()
    talk.let_them_talk(0.3)
    assert not talk.faults()
    assert not digits_heard(talk)


def test_random_media_of_a_stranger_disturbs_nobody(talk: WatchedCall, stranger: MediaStranger) -> None:
    assert media_noise(repeatable(3550), stranger, [talk], 800, rate=400) == 800
    talk.let_them_talk(0.3)
    assert not talk.faults()
    assert not digits_heard(talk)


def test_a_party_that_sends_nonsense_beside_its_audio_is_heard_again_afterwards(talk: WatchedCall) -> None:
    """Other SSRCs, sequence numbers and timestamps that leap: what cannot be told from a new stream is one.

    That the talk is whole again at once, `talk` asserts after each test.
    """
    assert own_media_noise(repeatable(4733), list(talk.ears.values()), 1000, rate=1000) == 1000
    assert talk.talk.product.status(talk.talk.call_id) == "connected"
    assert not digits_heard(talk)


def test_a_stranger_s_audio_is_not_heard_and_draws_nothing_to_it(
    talk: WatchedCall, stranger: MediaStranger
) -> None:
    """Perfect RTP, as fast as the party's own, from another address."""
    intrude(talk, stranger, rate=PACKETS_PER_SECOND, seconds=2.0)
    assert not stranger.received()
    assert not talk.faults()
    assert all(hearing.strange == 0 for hearing in talk.hearings())


def test_a_stranger_who_sends_faster_than_the_party_does_not_take_its_place(
    talk: WatchedCall, stranger: MediaStranger
) -> None:
    """Nor does it get the engine's RTCP, whose reports leave every five seconds (RFC 3550, section 6.2)."""
    for _ in range(5):
        stranger.send(MALFORMED_RTCP["a goodbye"], talk.talk.caller.offer.address, rtcp=True)
    intrude(talk, stranger, rate=20 * PACKETS_PER_SECOND, seconds=6.0)
    assert not stranger.received()
    assert not talk.faults()


def intrude(talk: WatchedCall, stranger: MediaStranger, *, rate: float, seconds: float) -> None:
    """Send 2000 Hz to the engine as if one were the caller."""
    audio = mulaw_encode(tone(2000.0, 1.0))
    pace = Pace(rate)
    for number in range(round(rate * seconds)):
        start = number * 160 % len(audio)
        packet = write_packet(
            0, (audio + audio)[start : start + 160], sequence=number, timestamp=160 * number, ssrc=0xBAD
        )
        stranger.send(packet, talk.talk.caller.offer.address)
        pace.wait()


def digits_heard(talk: WatchedCall) -> list[object]:
    return [digit for party in TONES for digit in talk.ears[party].digits()]
