"""The network's early media (RFC 3960): heard once it really comes, alone, and ringback when it stops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from time import monotonic

import pytest

from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.conftest import StartProduct
from tests.sip.heard import assert_never_two_and_never_silent, handed_over, heard, longest, stations
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.waiting_caller import RINGBACK, SECOND, TONES, Waiting, waiting_caller
from tests.support.lossy_path import LossyPath
from tests.support.rtp import write_packet
from tests.support.rtp_peer import PCMA, PCMU, RtpPeer
from tests.support.sdp import PCMA as PCMA_FORMAT
from tests.support.sdp import Direction, Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"ringback": RINGBACK}


@pytest.fixture
def ear() -> Iterator[RtpPeer]:
    """The caller's phone; it speaks, too."""
    with RtpPeer(TONES["c"]) as peer:
        yield peer


@pytest.fixture
def network() -> Iterator[RtpPeer]:
    """Where early media comes from; mute at first."""
    with RtpPeer(TONES["e"]) as peer:
        peer.pause()
        yield peer


@pytest.fixture
def mouth() -> Iterator[RtpPeer]:
    """The callee's phone."""
    with RtpPeer(TONES["t"]) as peer:
        yield peer


def line(call: Waiting) -> str:
    return heard(call.ear.samples(), **TONES)


def progress(call: Waiting, network: RtpPeer, status: str = "183 Session Progress") -> None:
    network.remote = call.callee.offer.address
    call.callee.respond(status, rtp_port=network.port)


def test_early_media_and_ringback_take_turns_until_the_callee_answers_somewhere_else(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, network: RtpPeer, mouth: RtpPeer
) -> None:
    with waiting_caller(product, trunk, ear) as call:
        ear.wait_for_more_audio(packets=SECOND)
        progress(call, network)
        ear.wait_for_more_audio(packets=SECOND)
        network.resume()
        ear.wait_for_more_audio(packets=SECOND)
        # Early media that still flows wins over a 180 (RFC 3960, section 3.2).
        call.callee.respond("180 Ringing")
        ear.wait_for_more_audio(packets=SECOND)
        network.pause()
        ear.wait_for_more_audio(packets=SECOND)
        network.resume()
        ear.wait_for_more_audio(packets=SECOND)
        network.pause()
        mouth.codec = PCMA
        answered = monotonic()
        call.connect(mouth, sdp=Sdp(mouth.port, (PCMA_FORMAT,)))
        ear.wait_for_more_audio(packets=SECOND)
        text = line(call)
        spoken = heard(mouth.samples(), **TONES)
        before = heard(network.samples(until=answered), **TONES)
    assert stations(text) == "reret"
    assert_never_two_and_never_silent(text, path)
    assert stations(spoken) == "c"
    assert set(before) <= {"."}, "the caller was heard before the callee had answered"


def test_an_answer_with_the_description_of_the_183_interrupts_nothing(
    product: Product, trunk: SipTrunk, ear: RtpPeer, network: RtpPeer
) -> None:
    """The gateway that played early media carries the talk, too."""
    with waiting_caller(product, trunk, ear) as call:
        progress(call, network)
        network.resume()
        ear.wait_for_more_audio(packets=SECOND)
        call.connect(network)
        since = ear.wait_for_more_audio(packets=SECOND)
        network.wait_for_more_audio(packets=SECOND)
        text = line(call)
        spoken = heard(network.samples(since=since), **TONES)
    assert stations(text).removeprefix("r") == "e"
    assert longest(".", text[text.index("e") :]) <= 0.06
    assert stations(spoken) == "c"


def test_late_packets_of_early_media_do_not_lead_the_talk_astray(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, network: RtpPeer, mouth: RtpPeer
) -> None:
    """They may still be under way when the answer has moved the stream, and the callee is silent yet."""
    with waiting_caller(product, trunk, ear) as call:
        progress(call, network)
        network.resume()
        ear.wait_for_more_audio(packets=SECOND)
        network.pause()
        mouth.pause()
        call.connect(mouth)
        for sequence in range(3):
            network.send_raw(packet(0, sequence))
            mouth.wait_for_more_audio(packets=1)
        mouth.wait_for_more_audio(packets=SECOND // 2)
        mouth.resume()
        ear.wait_for_more_audio(packets=SECOND)
        spoken = heard(mouth.samples(), **TONES)
        text = line(call)
    assert stations(spoken) == "c"
    assert stations(text).removeprefix("r") in handed_over("e", "t", path)


@pytest.mark.parametrize("status", ["180 Ringing", "183 Session Progress"])
def test_a_description_without_rtp_is_no_early_media(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, network: RtpPeer, status: str
) -> None:
    """Nor are stray packets: a gateway may greet a NAT so."""
    with waiting_caller(product, trunk, ear) as call:
        progress(call, network, status)
        for sequence in range(5):
            ear.wait_for_more_audio(packets=SECOND // 3)
            network.send_raw(packet(0, sequence))
        text = line(call)
        assert stations(text) == "r"
        assert_never_two_and_never_silent(text, path)
        network.resume()
        ear.wait_for_more_audio(packets=SECOND)
        assert stations(line(call)) == "re"


@pytest.mark.parametrize("payload_type", [8, 13, 101], ids=["another codec", "comfort noise", "digits"])
def test_rtp_that_cannot_be_heard_is_no_early_media(
    product: Product,
    trunk: SipTrunk,
    path: LossyPath | None,
    ear: RtpPeer,
    network: RtpPeer,
    payload_type: int,
) -> None:
    with waiting_caller(product, trunk, ear) as call:
        progress(call, network)
        for sequence in range(SECOND):
            ear.wait_for_more_audio(packets=1)
            network.send_raw(packet(payload_type, sequence))
        text = line(call)
    assert stations(text) == "r"
    assert_never_two_and_never_silent(text, path)


@pytest.mark.parametrize("payload_type", [8, 13, 101], ids=["another codec", "comfort noise", "digits"])
def test_ringback_returns_when_early_media_goes_over_to_what_cannot_be_heard(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, payload_type: int
) -> None:
    """And early media when it can be heard again."""
    unheard = {payload_type: bytes([0xFF]) * 8000}
    with RtpPeer(TONES["e"], encoded=unheard) as network, waiting_caller(product, trunk, ear) as call:
        progress(call, network)
        ear.wait_for_more_audio(packets=SECOND)
        for codec in (payload_type, PCMU):
            network.codec = codec
            ear.wait_for_more_audio(packets=SECOND)
        text = line(call)
    assert stations(text).removeprefix("r") == "ere"
    assert_never_two_and_never_silent(text, path)


def packet(payload_type: int, sequence: int) -> bytes:
    return write_packet(
        payload_type, bytes([0xFF]) * 160, sequence=sequence, timestamp=160 * sequence, ssrc=1
    )


def test_early_media_may_change_its_port_and_codec_before_the_answer(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, network: RtpPeer, mouth: RtpPeer
) -> None:
    """A second 183 with another description, as when an announcement gives way to a ringing phone."""
    with waiting_caller(product, trunk, ear) as call:
        progress(call, network)
        network.resume()
        ear.wait_for_more_audio(packets=SECOND)
        network.pause()
        mouth.codec = PCMA
        mouth.remote = call.callee.offer.address
        call.callee.respond("183 Session Progress", sdp=Sdp(mouth.port, (PCMA_FORMAT,)))
        ear.wait_for_more_audio(packets=SECOND)
        text = line(call)
        assert stations(text).removeprefix("r") in handed_over("e", "t", path)
        assert_never_two_and_never_silent(text, path)
        assert set(heard(mouth.samples(), **TONES)) <= {"."}
        call.connect(mouth, sdp=Sdp(mouth.port, (PCMA_FORMAT,)))
        ear.wait_for_more_audio(packets=SECOND)
        assert stations(line(call)).removeprefix("r") in handed_over("e", "t", path)


def test_a_network_that_only_announces_is_not_taken_for_a_party_on_hold(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, network: RtpPeer, mouth: RtpPeer
) -> None:
    """a=sendonly in the 183, a=sendrecv in the answer."""
    with waiting_caller(product, trunk, ear) as call:
        network.remote = call.callee.offer.address
        call.callee.respond(
            "183 Session Progress", sdp=replace(Sdp(network.port), direction=Direction.SENDONLY)
        )
        network.resume()
        ear.wait_for_more_audio(packets=SECOND)
        network.pause()
        call.connect(mouth)
        ear.wait_for_more_audio(packets=SECOND)
        mouth.wait_for_more_audio(packets=SECOND)
        assert stations(line(call)).removeprefix("r") in handed_over("e", "t", path)
        assert stations(heard(mouth.samples(), **TONES)) == "c"


def test_a_trunk_whose_early_media_is_ignored_leaves_the_caller_with_ringback(
    start_product: StartProduct,
    trunk: SipTrunk,
    path: LossyPath | None,
    ear: RtpPeer,
    network: RtpPeer,
    mouth: RtpPeer,
) -> None:
    ignoring = start_product({"ringback": RINGBACK, "trunk": {"early_media": "ignore"}})
    with waiting_caller(ignoring, trunk, ear) as call:
        progress(call, network)
        network.resume()
        ear.wait_for_more_audio(packets=2 * SECOND)
        network.pause()
        call.connect(mouth)
        ear.wait_for_more_audio(packets=SECOND)
        text = line(call)
    assert stations(text) == "rt"
    assert_never_two_and_never_silent(text, path)
    quality = ignoring.call(call.call_id).callee_quality
    assert quality is not None
    assert quality.packets_discarded <= 30, "what was ignored counts as bad quality"


def test_sipp_plays_early_media_that_comes_and_goes(sipp: ScenarioTrunk, path: LossyPath | None) -> None:
    product = sipp.product
    with sipp.playing("early-media", tones=[620], echo=False):
        call_id = product.create(fresh_number("01"), fresh_number())
        product.wait_status(call_id, "connected")
        assert product.delete(call_id) == 204
    assert product.event_states(call_id)[-2:] == ["connected", "disconnected"]
    if path is not None:
        return  # SIPp does not repeat a 183 that was lost
    progress = [message.start_line for message in product.sip_messages(call_id) if message.leg == "callee"]
    assert progress[1:4] == ["SIP/2.0 183 Session Progress", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]
    log = product.engine.log.read_text()
    assert re.findall(r"early media .*flows=(\w+)", log) == ["True", "False", "True"]
