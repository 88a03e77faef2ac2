"""Each leg has a codec of its own, and the bridge transcodes: a tone gets through each of them, both ways."""

from __future__ import annotations

import pytest

from state.quality import LegQuality
from tests.end_to_end.product import Product
from tests.sip.rtp_mirror import RtpMirror
from tests.sip.talk import talking
from tests.support.audio import has_tone
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import PCMU, Format, Sdp, telephone_event
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

CODECS = ["PCMU", "PCMA", "G722", "opus", "G729", "AMR", "GSM"]
TONE = 440.0
OCTETS = {"PCMU": 160, "PCMA": 160, "G722": 160, "G729": 20, "AMR": 32, "GSM": 33}
"""Of 20 ms; AMR: 12.2 kbit/s, octet-aligned. Opus has no fixed size."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"trunk": {"codecs": CODECS}}


def only(codec: str) -> Format | None: ...


def offered(offer: Sdp, codec: str) -> Format:
    """As it was offered: what comes back to us must have this payload type (RFC 3264, section 5.1)."""
    return next(f for f in offer.formats if f.encoding.lower() == codec.lower())


def test_all_are_offered_in_order_of_preference(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer() as caller, RtpPeer() as callee, talking(product, trunk, caller, callee) as talk:
        encodings = [e for e in talk.caller.offer.encodings if e != "telephone-event"]
        print(talk.caller.invite.text)
        assert encodings == CODECS


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_a_tone_comes_back_through_the_codec(product: Product, trunk: SipTrunk, codec: str, leg: str) -> None:
    """One party speaks PCMU; the other's phone sends back what it gets in its codec."""

    def answer(offer: Sdp) -> Sdp:
        return Sdp(0, (offered(offer, codec),))

    with RtpPeer(TONE) as speaker, RtpMirror() as mirror:
        if leg == "callee":
            connected = talking(product, trunk, speaker, mirror, callee_sdp=answer)
        else:
            connected = talking(product, trunk, mirror, speaker, caller_sdp=answer)
        with connected as talk:
            payload_type = talk.phone(leg).offer.payload_type(codec)
            mirror.wait_for_packets(20)
            speaker.wait_for_more_audio(packets=25)
            since = speaker.wait_for_more_audio(packets=40)
            assert has_tone(speaker.samples(since=since), TONE)
            assert {p.payload_type for p in mirror.packets()} == {payload_type}
            sizes = {len(p.payload) for p in mirror.packets()}
            print(codec, sizes)
            assert sizes == {OCTETS.get(codec)} or codec in ("opus", "AMR")
            call = talk.end()
    quality = call.callee_quality if leg == "callee" else call.caller_quality
    assert isinstance(quality, LegQuality)
    assert quality.codec == codec
