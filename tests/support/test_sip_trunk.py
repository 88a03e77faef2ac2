"""The phones that a test plays: what they do as RFC 3261 says, and each thing a test can make them do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.support.sdp import PCMA, PCMU, Direction, Sdp, telephone_event
from tests.support.sip_client import SipDialog, SipText
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.waiting import wait_until

NUMBER = "+447700900001"


@pytest.fixture
def trunk() -> Iterator[SipTrunk]:
    with SipTrunk() as running:
        yield running


@pytest.fixture
def engine(trunk: SipTrunk) -> Iterator[SipDialog]:
    """What dials: the other side of the phone."""
    with SipDialog(NUMBER, trunk.port) as dialog:
        yield dialog


@pytest.fixture
def phone(trunk: SipTrunk, engine: SipDialog) -> Phone:
    engine.invite()
    return trunk.ringing_at(NUMBER)


Run = Callable[[Callable[[], SipText]], "Future[SipText]"]


@pytest.fixture
def meanwhile() -> Iterator[Run]:
    """Runs what waits for the other side."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit


def connect(phone: Phone, engine: SipDialog, meanwhile: Run) -> SipText:
    acknowledged = meanwhile(phone.answer)
    accepted = engine.expect(200)
    engine.ack(accepted)
    assert acknowledged.result().method == "ACK"
    return accepted


def test_an_answer_is_repeated_until_its_ack(phone: Phone, engine: SipDialog) -> None:
    phone.respond("200 OK", rtp_port=4000)
    first = engine.expect(200)
    again = engine.expect(200)
    assert again.text == first.text
    assert first.sdp.port == 4000
    engine.ack(again)
    phone.wait_for("ACK")
    assert engine.receive(1.2) is None


def test_a_lost_invite_gets_the_last_answer_again(phone: Phone, engine: SipDialog) -> None:
    phone.respond("180 Ringing")
    ringing = engine.expect(180)
    engine.send(engine.sent[0].text)
    assert engine.expect(180).text == ringing.text
    assert len(phone.received("INVITE")) == 1
    assert engine.receive(0.8) is None, "nobody repeats a provisional answer unasked"


def test_a_trunk_that_may_lose_messages_repeats_its_18x() -> None:
    with SipTrunk(repeats_progress=True) as trunk, SipDialog(NUMBER, trunk.port) as engine:
        engine.invite()
        phone = trunk.ringing_at(NUMBER)
        phone.respond("180 Ringing")
        engine.expect(180)
        engine.expect(180)
        phone.respond("486 Busy Here")
        engine.ack(engine.expect(486))
        phone.wait_for("ACK")
        assert engine.receive(0.8) is None


def test_a_cancel_ends_the_invite(phone: Phone, engine: SipDialog) -> None:
    phone.respond("180 Ringing")
    engine.expect(180)
    engine.cancel()
    assert engine.expect(200).method == "CANCEL"
    engine.ack(engine.expect(487))
    phone.wait_for("ACK")


def test_early_media_has_a_description(phone: Phone, engine: SipDialog) -> None:
    phone.respond("183 Session Progress", sdp=Sdp(4000, (PCMA, telephone_event(97)), ptime=30))
    early = engine.expect(183).sdp
    assert (early.encodings, early.payload_type("telephone-event"), early.ptime) == (
        ["PCMA", "telephone-event"],
        97,
        30,
    )


def test_a_reliable_18x_waits_for_its_prack(phone: Phone, engine: SipDialog, meanwhile: Run) -> None:
    pracked = meanwhile(lambda: phone.respond_reliably("183 Session Progress", rtp_port=4000))
    engine.expect(183)
    early = engine.expect(183)
    assert early.header("Require") == "100rel"
    engine.in_dialog("PRACK", f"RAck: {early.header('RSeq')} 1 INVITE")
    assert engine.expect(200).method == "PRACK"
    assert pracked.result().header("RAck") == "1 1 INVITE"
    assert engine.receive(1.2) is None


def test_forks_have_tags_and_sessions_of_their_own(phone: Phone, engine: SipDialog) -> None:
    phone.respond("183 Session Progress", rtp_port=4000, tag="first")
    phone.respond("180 Ringing", tag="second")
    phone.respond("183 Session Progress", rtp_port=4002, tag="second")
    early = engine.expect(183)
    ringing = engine.expect(180)
    other = engine.expect(183)
    assert [m.tag("To") for m in (early, ringing, other)] == ["first", "second", "second"]
    assert early.sdp.session_id != other.sdp.session_id
    answers = [
        phone.respond("200 OK", rtp_port=4002 + i, tag=tag) for i, tag in enumerate(("second", "first"))
    ]
    for answer in answers:
        accepted = engine.expect(200)
        assert accepted.tag("To") == answer.tag("To")
        engine.ack(accepted)
        assert phone.acknowledged(answer).tag("To") == answer.tag("To")
    assert phone.tag == "second", "the first to answer has the call"


def test_a_reinvite_counts_its_version_and_is_acknowledged(
    phone: Phone, engine: SipDialog, meanwhile: Run
) -> None:
    accepted = connect(phone, engine, meanwhile)
    hold = Sdp(9, direction=Direction.SENDONLY)
    final = meanwhile(lambda: phone.reinvite(hold))
    reinvite = engine.expect("INVITE")
    assert (reinvite.sdp.version, reinvite.sdp.direction) == (accepted.sdp.version + 1, "sendonly")
    assert reinvite.sdp.session_id == accepted.sdp.session_id
    assert reinvite.tag("From") == accepted.tag("To")
    assert reinvite.tag("To") == accepted.tag("From")
    engine.answer(reinvite, body=Sdp(9, direction=Direction.RECVONLY).text)
    ack = engine.expect("ACK")
    assert final.result().sdp.direction == "recvonly"
    engine.send(engine.sent[-1].text)
    assert engine.expect("ACK").text == ack.text
    # The same description again has the same version (RFC 3264, section 8).
    final = meanwhile(lambda: phone.update(hold))
    update = engine.expect("UPDATE")
    assert update.sdp == reinvite.sdp
    engine.answer(update, "491 Request Pending")
    assert final.result().status == 491


def test_a_refused_reinvite_is_acknowledged_in_its_transaction(
    phone: Phone, engine: SipDialog, meanwhile: Run
) -> None:
    connect(phone, engine, meanwhile)
    request = phone.request("INVITE", sdp=Sdp(9, (PCMA,)))
    engine.answer(engine.expect("INVITE"), "488 Not Acceptable Here")
    ack = engine.expect("ACK")
    assert (ack.branch, ack.cseq) == (request.branch, request.cseq)
    assert phone.response_to(request).status == 488


def test_an_offer_of_the_engine_s_is_answered_in_the_ack(
    phone: Phone, engine: SipDialog, meanwhile: Run
) -> None:
    connect(phone, engine, meanwhile)
    phone.request("INVITE")
    reinvite = engine.expect("INVITE")
    assert not reinvite.body
    engine.answer(reinvite, body=Sdp(5000).text)
    assert engine.expect("ACK").sdp.port == 9


def test_an_unanswered_request_is_repeated(phone: Phone, engine: SipDialog, meanwhile: Run) -> None:
    connect(phone, engine, meanwhile)
    phone.bye("Reason: Q.850;cause=16")
    bye = engine.expect("BYE")
    again = engine.expect("BYE")
    assert bye.text == again.text
    assert bye.header("Reason") == "Q.850;cause=16"
    engine.answer(again)
    phone.wait_for(200)
    assert engine.receive(1.2) is None


def test_a_digit_by_info(phone: Phone, engine: SipDialog, meanwhile: Run) -> None:
    connect(phone, engine, meanwhile)
    final = meanwhile(lambda: phone.info("#", 250))
    info = engine.expect("INFO")
    assert info.body == "Signal=#\r\nDuration=250\r\n"
    assert info.header("Content-Type") == "application/dtmf-relay"
    engine.answer(info)
    assert final.result().status == 200
    engine.in_dialog("INFO")
    engine.expect(200)


def test_a_session_refresh_is_answered_as_before(phone: Phone, engine: SipDialog, meanwhile: Run) -> None:
    accepted = connect(phone, engine, meanwhile)
    engine.in_dialog("UPDATE", "Session-Expires: 90")
    refreshed = engine.expect(200)
    assert refreshed.header("Session-Expires") == "90;refresher=uac"
    assert not refreshed.body
    engine.in_dialog("INVITE", body=Sdp(5000, direction=Direction.SENDONLY).text)
    answer = engine.expect(200)
    assert answer.sdp == replace(accepted.sdp, direction=Direction.RECVONLY, version=2)
    engine.ack(answer)
    assert phone.wait_for("ACK", count=2).cseq == answer.cseq
    assert phone.wait_for_reinvite().sdp.port == 5000


def test_a_refresh_may_be_refused_by_the_test(phone: Phone, engine: SipDialog, meanwhile: Run) -> None:
    connect(phone, engine, meanwhile)
    phone.answers_reinvite = False
    engine.in_dialog("INVITE", body=Sdp(5000).text)
    phone.respond_to(phone.wait_for_reinvite(), "422 Session Interval Too Small", "Min-SE: 1800")
    refused = engine.expect(422)
    assert refused.header("Min-SE") == "1800"


def test_a_bye_may_stay_unanswered(phone: Phone, engine: SipDialog, meanwhile: Run) -> None:
    connect(phone, engine, meanwhile)
    phone.answers_bye = False
    engine.bye()
    phone.wait_for("BYE")
    engine.send(engine.sent[-1].text)
    wait_until(lambda: sum(heard.message.start_line.startswith("BYE") for heard in phone.log) == 2)
    assert len(phone.received("BYE")) == 1
    assert engine.receive(0.3) is None


def test_a_challenged_invite_comes_again_to_the_same_phone(phone: Phone, engine: SipDialog) -> None:
    phone.respond("401 Unauthorized", 'WWW-Authenticate: Digest realm="lab", nonce="1"')
    engine.ack(engine.expect(401))
    engine.invite_again("Authorization: Digest x")
    again = phone.wait_for("INVITE", count=2)
    wait_until(lambda: phone.invite == again)
    assert (again.cseq, again.header("Authorization")) == (2, "Digest x")
    phone.respond("200 OK", rtp_port=9)
    engine.ack(engine.expect(200))
    assert phone.wait_for("ACK", count=2).cseq == 2


def test_the_offer_is_read(phone: Phone) -> None:
    assert phone.offer.formats == (PCMU, telephone_event())
