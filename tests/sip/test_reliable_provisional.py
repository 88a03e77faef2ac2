"""Provisional responses that are acknowledged (RFC 3262), and UPDATE in an early dialog (RFC 3311)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, call
from tests.sip.conftest import StartProduct
from tests.sip.heard import assert_never_two_and_never_silent, handed_over, heard, stations
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.waiting_caller import RINGBACK, SECOND, TONES, waiting_caller
from tests.support.lossy_path import LossyPath
from tests.support.rtp_peer import PCMA, RtpPeer
from tests.support.sdp import PCMA as PCMA_FORMAT
from tests.support.sdp import Sdp
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import Overrides


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"ringback": RINGBACK}


@pytest.fixture(scope="module")
def requiring(start_product: StartProduct) -> Product:
    return start_product({"trunk": {"reliable_provisional": "required"}})


@pytest.fixture
def ear() -> Iterator[RtpPeer]:
    with RtpPeer(TONES["c"]) as peer:
        yield peer


@pytest.fixture
def network() -> Iterator[RtpPeer]:
    """Where early media comes from."""
    with RtpPeer(TONES["e"]) as peer:
        yield peer


@pytest.fixture
def mouth() -> Iterator[RtpPeer]:
    with RtpPeer(TONES["t"]) as peer:
        yield peer


def options(phone: Phone, header: str) -> set[str]:
    """Option tags of the INVITE (RFC 3261, section 19.2)."""
    return {tag.strip() for value in phone.invite.headers(header) for tag in value.split(",")}


# --- offering, requiring


def test_a_trunk_that_may_is_offered_reliability_and_one_that_must_is_required_to(
    product: Product, requiring: Product, trunk: SipTrunk
) -> None:
    for running, required in ((product, False), (requiring, True)):
        called = call(running, trunk, "callee")
        for phone in (called.caller, called.phone):
            assert "100rel" in options(phone, "Supported")
            assert ("100rel" in options(phone, "Require")) is required
            assert "PRACK" in phone.invite.header("Allow")
        assert running.delete(called.call_id) == 204


def test_a_trunk_without_reliability_is_offered_none(start_product: StartProduct, trunk: SipTrunk) -> None:
    """And what its network says all the same is taken as it comes."""
    product = start_product({"trunk": {"reliable_provisional": "off"}})
    called = call(product, trunk, "callee")
    for phone in (called.caller, called.phone):
        assert "100rel" not in options(phone, "Supported") | options(phone, "Require")
        assert "PRACK" not in phone.invite.header("Allow")
    called.phone.respond("180 Ringing")
    called.phone.answer()
    product.wait_status(called.call_id, "connected")
    assert product.delete(called.call_id) == 204


@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_a_network_that_cannot_be_reliable_refuses_the_requirement(
    requiring: Product, trunk: SipTrunk, leg: str
) -> None:
    called = call(requiring, trunk, leg)
    called.phone.respond("420 Bad Extension", "Unsupported: 100rel")
    called.phone.wait_for("ACK")
    assert_ended(requiring, called.call_id, called.reason("Failure"))


# --- PRACK


def test_each_reliable_response_is_acknowledged_once_and_in_order(product: Product, trunk: SipTrunk) -> None:
    called = call(product, trunk, "callee")
    phone = called.phone
    first = phone.respond_reliably("180 Ringing")
    assert first.header("RAck") == f"1 {phone.invite.header('CSeq')}"
    assert first.start_line.split()[1] == f"sip:phone@127.0.0.1:{trunk.port}"
    assert first.tag("To") == phone.tag
    # A copy whose PRACK has been sent, and one that overtook the response before it (RFC 3262, section 4).
    phone.respond("180 Ringing", "RSeq: 1", "Require: 100rel")
    phone.respond("183 Session Progress", "RSeq: 3", "Require: 100rel")
    second = phone.respond_reliably("180 Ringing")
    assert second.header("RAck") == f"2 {phone.invite.header('CSeq')}"
    assert second.cseq == first.cseq + 1
    phone.answer()
    product.wait_status(called.call_id, "connected")
    # A later copy of the third may have had its turn by now.
    acknowledged = sorted(prack.header("RAck").split()[0] for prack in phone.received("PRACK"))
    assert acknowledged in (["1", "2"], ["1", "2", "3"])
    assert product.delete(called.call_id) == 204
    assert product.event_states(called.call_id).count("callingCallee") == 1


def test_the_caller_s_network_may_be_reliable_too(product: Product, trunk: SipTrunk) -> None:
    called = call(product, trunk, "caller")
    called.phone.respond_reliably("183 Session Progress", rtp_port=9)
    called.phone.answer()
    product.wait_status(called.call_id, "callingCallee")
    assert product.delete(called.call_id) == 204


@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_an_unreliable_response_does_although_reliability_was_required(
    requiring: Product, trunk: SipTrunk, leg: str
) -> None:
    called = call(requiring, trunk, leg)
    called.phone.respond("180 Ringing")
    called.phone.answer()
    requiring.wait_status(called.call_id, {"caller": "callingCallee", "callee": "connected"}[leg])
    assert not called.phone.received("PRACK")
    assert requiring.delete(called.call_id) == 204


# --- early media that is agreed upon for good, and UPDATE


def test_a_reliable_description_holds_when_the_answer_brings_none(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, network: RtpPeer
) -> None:
    """The PRACK has completed offer and answer (RFC 6337, section 2.1)."""
    with waiting_caller(product, trunk, ear) as waiting:
        network.remote = waiting.callee.offer.address
        waiting.callee.respond_reliably("183 Session Progress", rtp_port=network.port)
        ear.wait_for_more_audio(packets=SECOND)
        waiting.callee.acknowledged(waiting.callee.respond("200 OK"))
        product.wait_status(waiting.call_id, "connected")
        since = network.wait_for_more_audio(packets=SECOND)
        text = heard(ear.samples(), **TONES)
        spoken = heard(network.samples(since=since), **TONES)
    assert stations(text) in ("e", "re")
    assert_never_two_and_never_silent(text, path)
    assert stations(spoken) == "c"


def test_an_update_moves_early_media_to_another_port_and_codec(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, network: RtpPeer, mouth: RtpPeer
) -> None:
    with waiting_caller(product, trunk, ear) as waiting:
        callee = waiting.callee
        network.remote = mouth.remote = callee.offer.address
        mouth.codec = PCMA
        mouth.pause()
        callee.respond_reliably("183 Session Progress", rtp_port=network.port)
        ear.wait_for_more_audio(packets=SECOND)
        network.pause()
        updated = callee.update(Sdp(mouth.port, (PCMA_FORMAT,)))
        mouth.resume()
        assert updated.status == 200
        assert updated.sdp.encodings[0] == "PCMA"
        ear.wait_for_more_audio(packets=SECOND)
        callee.acknowledged(callee.respond("200 OK"))
        product.wait_status(waiting.call_id, "connected")
        since = mouth.wait_for_more_audio(packets=SECOND)
        text = heard(ear.samples(), **TONES)
        spoken = heard(mouth.samples(since=since), **TONES)
    assert stations(text).removeprefix("r") in handed_over("e", "t", path)
    assert_never_two_and_never_silent(text, path)
    assert stations(spoken) == "c"


def test_an_update_without_a_description_is_answered_without_one(product: Product, trunk: SipTrunk) -> None:
    """It only refreshes the target, here and whatever else of the dialog (RFC 3311, section 5.1)."""
    called = call(product, trunk, "callee")
    called.phone.respond_reliably("183 Session Progress", rtp_port=9)
    updated = called.phone.update(None)
    assert (updated.status, updated.body) == (200, "")
    assert product.delete(called.call_id) == 204
    called.phone.wait_for("CANCEL")


def test_sipp_plays_a_network_that_is_reliable_and_moves_its_early_media(
    sipp: ScenarioTrunk, path: LossyPath | None
) -> None:
    if path is not None:
        pytest.skip("SIPp loses its place in a scenario when a PRACK or the 200 to an UPDATE comes twice")
    product = sipp.product
    with sipp.playing("reliable-early-media", tones=[620], echo=False):
        call_id = product.create(fresh_number("01"), fresh_number())
        product.wait_status(call_id, "connected")
        assert product.delete(call_id) == 204
    assert product.event_states(call_id)[-2:] == ["connected", "disconnected"]
    # A copy, sent because a machine stood still for half a second, says nothing new.
    texts = dict.fromkeys(m.text for m in product.sip_messages(call_id) if m.leg == "callee")
    lines = [text.split("\r\n", 1)[0].split(" sip:")[0] for text in texts]
    assert lines[1:8] == [
        "SIP/2.0 183 Session Progress",
        "PRACK",
        "SIP/2.0 200 OK",
        "UPDATE",
        "SIP/2.0 200 OK",
        "SIP/2.0 200 OK",
        "ACK",
    ]


def test_sipp_plays_a_network_that_refuses_the_requirement(sipp: ScenarioTrunk) -> None:
    product = sipp.product
    with sipp.playing("bad-extension", legs=1):
        call_id = product.create(fresh_number(), fresh_number())
        assert_ended(product, call_id, Reason.CALLER_FAILURE)
