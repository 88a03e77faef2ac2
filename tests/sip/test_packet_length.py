"""How much audio is in a packet: what each side asks for with a=ptime (RFC 8866, section 6.4)."""

from __future__ import annotations

from itertools import pairwise
from time import monotonic

import pytest

from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip import payloads
from tests.sip.rtp_mirror import RtpMirror
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import only, talking
from tests.support.audio import has_tone, longest_silence
from tests.support.lossy_path import LossyPath
from tests.support.rtp import ahead, signed
from tests.support.rtp_peer import PCMA, PCMU, RtpPeer
from tests.support.sdp import PCMU as PCMU_FORMAT
from tests.support.sdp import Sdp, telephone_event
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

OCTETS_PER_MS = 8


@pytest.fixture(scope="module")
def overrides(request: pytest.FixtureRequest) -> Overrides:
    """A test may choose `trunk.ptime`, or the codecs."""
    return {"trunk": getattr(request, "param", {}), "quality": {"interval": 0.2}}


def sizes(peer: RtpPeer) -> set[int]:
    """Milliseconds in each audio packet that came."""
    return {len(p.payload) // OCTETS_PER_MS for p in peer.packets() if p.payload_type in (PCMU, PCMA)}


def answer(ptime: int | None) -> Sdp:
    return Sdp(0, (PCMU_FORMAT, telephone_event()), ptime=ptime)


@pytest.mark.parametrize(("caller_ptime", "callee_ptime"), [(10, 40), (20, 30), (30, 20), (40, 10)])
def test_each_party_gets_what_it_asks_for(
    product: Product, trunk: SipTrunk, path: LossyPath | None, caller_ptime: int, callee_ptime: int
) -> None:
    """And may send as it likes: the lengths of the two directions have nothing to do with each other."""
    with (
        RtpPeer(440, ptime=callee_ptime) as caller,
        RtpPeer(1000, ptime=caller_ptime) as callee,
        talking(
            product, trunk, caller, callee, caller_sdp=answer(caller_ptime), callee_sdp=answer(callee_ptime)
        ) as talk,
    ):
        caller.send_digits(
            "42", payload_type=talk.caller.offer.payload_type("telephone-event"), duration=120, interval=240
        )
        assert [digit.duration for digit in callee.wait_for_digits("42")] == [120, 120]
        for peer, tone, ptime in ((caller, 1000, caller_ptime), (callee, 440, callee_ptime)):
            since = peer.wait_for_more_audio(packets=1000 // ptime)
            samples = peer.samples(since=since)
            assert has_tone(samples, tone)
            assert sizes(peer) == {ptime}
            if path is None:
                assert longest_silence(samples) < 0.06
                assert peer.missing_sequences() == 0


@pytest.mark.parametrize(
    "overrides", [{"ptime": ptime} for ptime in (10, 20, 30, 40)], indirect=True, ids="{ptime}".format_map
)
def test_we_ask_for_what_is_configured_and_send_it_to_who_asks_for_nothing(
    product: Product, trunk: SipTrunk, overrides: Overrides
) -> None:
    ptime = overrides["trunk"]["ptime"]
    with (
        RtpPeer(440) as caller,
        RtpPeer(1000) as callee,
        talking(product, trunk, caller, callee, caller_sdp=answer(None), callee_sdp=answer(None)) as talk,
    ):
        assert talk.caller.offer.ptime == talk.callee.offer.ptime == ptime
        callee.wait_for_audio(packets=20)
        caller.wait_for_audio(packets=20)
        assert sizes(callee) == sizes(caller) == {ptime}
        assert talk.caller.reinvite(Sdp(caller.port, ptime=10)).sdp.ptime == ptime


@pytest.mark.parametrize(
    "overrides", [{"codecs": ["G729", "GSM", "opus", "PCMU"]}], indirect=True, ids=["more"]
)
@pytest.mark.parametrize(
    ("codec", "asked", "sent"),
    [
        *(("G729", ptime, ptime) for ptime in (10, 30, 40)),
        *(("GSM", 10, 20), ("GSM", 30, 40), ("GSM", 40, 40)),
        *(("opus", 10, 20), ("opus", 40, 40)),
    ],
)
def test_a_packet_holds_whole_frames_of_its_codec(
    product: Product, trunk: SipTrunk, codec: str, asked: int, sent: int
) -> None:
    """G.729's are 10 ms long; 20 ms are the least of the others, and what lies between is rounded up."""
    clock = payloads.CLOCK_RATES.get(codec, 8000)
    with (
        RtpPeer(440) as caller,
        RtpMirror() as callee,
        talking(product, trunk, caller, callee, callee_sdp=only(codec, ptime=asked)),
    ):
        callee.wait_for_packets(1200 // sent)
        stream = payloads.in_order(callee.packets())
        # Over the lossy path it comes and goes: packets shorter than the jitter are late more often than not.
        wait_until(lambda: has_tone(caller.samples(since=monotonic() - 0.8), 440), 10.0, "the tone")
    assert {payloads.milliseconds(codec, p.payload) for p in stream} == {sent}
    for former, later in pairwise(stream):
        count = signed(later.sequence - former.sequence, 16)
        assert ahead(later.timestamp, former.timestamp) == count * sent * clock // 1000


def test_the_scenario(sipp: ScenarioTrunk) -> None:
    """What leaves in a second says how long the packets are; SIPp sends it back."""
    with sipp.playing("packet-length"):
        call_id = sipp.product.create(fresh_number("10"), fresh_number("40"))
        sipp.product.wait_status(call_id, "connected")

        def received() -> list[int]:
            call = sipp.product.call(call_id)
            return [q.packets_received if q else 0 for q in (call.caller_quality, call.callee_quality)]

        def since_then() -> list[int]:
            return [now - then for now, then in zip(received(), before, strict=True)]

        # A leg whose answer was lost begins later than the other.
        wait_until(lambda: min(received()) >= 5)
        before = received()
        wait_until(lambda: min(since_then()) >= 25)
        caller, callee = since_then()
        assert sipp.product.delete(call_id) == 204
    assert caller / callee == pytest.approx(4, rel=0.25)
