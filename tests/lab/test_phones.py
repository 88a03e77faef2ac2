"""Each phone of the lab's number plan, as a SIP client finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dialbridge.phones import Phones
from tests.support.audio import has_tone, lacks_tone, longest_silence, tone_level
from tests.support.rtp_peer import HOST, RtpPeer
from tests.support.sip_client import SipDialog, SipText

SECOND = 50
"""Packets of 20 ms."""


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def dialog(phones: Phones, exits: ExitStack, ending: str, *, rtp_port: int = 9) -> SipDialog:
    return exits.enter_context(SipDialog(f"+4477009000{ending}", phones.sip_port, rtp_port=rtp_port))


def talk(phones: Phones, exits: ExitStack, ending: str, frequency: float | None) -> tuple[SipDialog, RtpPeer]:
    """Answered by the phone; the peer sends its own tone there and hears the phone."""
    peer = exits.enter_context(RtpPeer(frequency))
    call = dialog(phones, exits, ending, rtp_port=peer.port)
    peer.remote = (HOST, call.establish().audio_port)
    return call, peer


@pytest.mark.parametrize(("ending", "frequency"), [("01", 1000), ("02", 440)])
def test_plays_its_tone_and_nothing_else(
    phones: Phones, exits: ExitStack, ending: str, frequency: int
) -> None:
    _, peer = talk(phones, exits, ending, frequency=620)
    peer.wait_for_audio(packets=2 * SECOND)
    heard = peer.samples()
    assert tone_level(heard, frequency) == pytest.approx(-12.3, abs=0.5)
    assert lacks_tone(heard, 620), "what the phone hears does not come back"
    assert longest_silence(heard) < 0.001
    assert peer.longest_timestamp_gap() == 0
    assert len({packet.ssrc for packet in peer.packets()}) == 1


@pytest.mark.parametrize("ending", ["00", "77"])
def test_echoes_what_it_hears(phones: Phones, exits: ExitStack, ending: str) -> None:
    _, peer = talk(phones, exits, ending, frequency=620)
    peer.wait_for_audio(packets=SECOND)
    assert tone_level(peer.samples(), 620) == pytest.approx(-12, abs=0.5)


def test_tones_of_two_calls_do_not_mix(phones: Phones, exits: ExitStack) -> None:
    _, first = talk(phones, exits, "01", frequency=None)
    _, second = talk(phones, exits, "02", frequency=None)
    for peer in (first, second):
        peer.wait_for_audio(packets=SECOND)
    assert has_tone(first.samples(), 1000)
    assert lacks_tone(first.samples(), 440)
    assert has_tone(second.samples(), 440)
    assert lacks_tone(second.samples(), 1000)


@pytest.mark.parametrize("ending", ["00", "01", "02", "21", "99"])
def test_rings_then_answers(phones: Phones, exits: ExitStack, ending: str) -> None:
    call = dialog(phones, exits, ending)
    call.establish()
    assert call.trail() == ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]
    rang, answered = call.received
    assert rang.header("To") == answered.header("To")
    assert ";tag=" in answered.header("To")
    assert answered.header("Contact").startswith("<sip:+4477009000")
    call.bye()
    assert call.expect(200).header("CSeq").endswith(" BYE")


def test_answers_digits_with_the_offered_payload_type(phones: Phones, exits: ExitStack) -> None:
    accepted = dialog(phones, exits, "00").establish()
    assert "RTP/AVP 0 101" in accepted.body
    assert "a=rtpmap:101 telephone-event/8000" in accepted.body


def test_answers_no_digits_where_none_were_offered(phones: Phones, exits: ExitStack) -> None:
    call = SipDialog("+447700900000", phones.sip_port, offer_digits=False)
    accepted = exits.enter_context(call).establish()
    assert "RTP/AVP 0\r\n" in accepted.body
    assert "telephone-event" not in accepted.body


def test_a_parameter_of_the_uri_does_not_hide_the_number(phones: Phones, exits: ExitStack) -> None:
    call = exits.enter_context(
        SipDialog("+447700900010", phones.sip_port, uri_parameters=":5060;user=phone;x=01")
    )
    call.invite()
    call.ack(call.expect(486))


@pytest.mark.parametrize(("ending", "status"), [("10", 486), ("12", 603), ("13", 404), ("14", 503)])
def test_refuses(phones: Phones, exits: ExitStack, ending: str, status: int) -> None:
    call = dialog(phones, exits, ending)
    call.invite()
    refusal = call.expect(status)
    assert ";tag=" in refusal.header("To")
    call.ack(refusal)
    # Half a second is T1, after which a refusal not acknowledged would be repeated (RFC 3261, 17.2.1).
    assert call.receive(0.8) is None


def test_a_lost_refusal_is_repeated(phones: Phones, exits: ExitStack) -> None:
    call = dialog(phones, exits, "10")
    call.invite()
    first = call.expect(486)
    again = call.expect(486)
    assert again.text == first.text
    call.ack(again)


@pytest.mark.parametrize("ending", ["11", "00", "01"])
def test_is_cancelled_while_it_rings(phones: Phones, exits: ExitStack, ending: str) -> None:
    call = dialog(phones, exits, ending)
    call.invite()
    ringing = call.expect(180)
    call.cancel()
    assert call.expect(200).header("CSeq") == "1 CANCEL"
    terminated = call.expect(487)
    assert terminated.header("CSeq") == "1 INVITE"
    assert terminated.header("To") == ringing.header("To")
    call.ack(terminated)
    assert call.receive(0.8) is None


def test_never_answers(phones: Phones, exits: ExitStack) -> None:
    call = dialog(phones, exits, "11")
    call.invite()
    call.expect(180)
    assert call.receive(3.0) is None


def test_says_nothing_at_all(phones: Phones, exits: ExitStack) -> None:
    call = dialog(phones, exits, "15")
    call.invite()
    assert call.receive(0.5) is None
    call.send(call.sent[0].text)
    assert call.receive(0.5) is None
    call.cancel()
    assert call.receive(0.5) is None


def test_hangs_up_by_itself(phones: Phones, exits: ExitStack) -> None:
    call = dialog(phones, exits, "21")
    accepted = call.establish()
    bye = call.expect("BYE")
    assert bye.start_line == f"BYE {call.sent[0].header('Contact').strip('<>')} SIP/2.0"
    assert bye.header("From") == accepted.header("To")
    assert bye.header("To") == accepted.header("From")
    assert bye.header("Call-ID") == call.call_id
    call.answer(bye)
    assert call.receive(0.8) is None


@pytest.mark.parametrize("status", ["200 OK", "481 Call/Transaction Does Not Exist"])
def test_both_hang_up_at_the_same_moment(phones: Phones, exits: ExitStack, status: str) -> None:
    call = dialog(phones, exits, "21")
    call.establish()
    bye = call.expect("BYE")
    call.bye()
    assert call.expect(200).header("CSeq") == "2 BYE"
    call.answer(bye, status)
    assert call.receive(0.8) is None


def test_bye_right_behind_the_ack(phones: Phones, exits: ExitStack) -> None:
    for ending in ("00", "01"):
        call = dialog(phones, exits, ending)
        call.invite()
        call.expect(180)
        call.ack(call.expect(200))
        call.bye()
        call.expect(200)


def test_a_lost_answer_to_the_bye_is_given_again(phones: Phones, exits: ExitStack) -> None:
    call = dialog(phones, exits, "00")
    call.establish()
    call.bye()
    call.expect(200)
    call.send(call.sent[-1].text)
    assert call.receive(2.0) is not None


def test_tells_that_it_is_alive(phones: Phones, exits: ExitStack) -> None:
    ping = dialog(phones, exits, "00")
    ping.request("OPTIONS", f"sip:{HOST}:{phones.sip_port}", branch="z9hG4bK-ping")
    assert ping.expect(200).method == "OPTIONS"


def test_a_stray_request_does_no_harm(phones: Phones, exits: ExitStack) -> None:
    for method in ("BYE", "CANCEL", "ACK", "INFO", "MESSAGE"):
        stray = dialog(phones, exits, "00")
        stray.request(method, f"sip:{HOST}:{phones.sip_port}", branch=f"z9hG4bK-{method}")
    test_rings_then_answers(phones, exits, "00")


def test_a_hundred_calls_at_once(phones: Phones, exits: ExitStack) -> None:
    endings = ("00", "01", "02", "10")
    calls = [(dialog(phones, exits, endings[i % 4]), endings[i % 4] == "10") for i in range(120)]
    for call, _ in calls:
        call.invite()
    for call, is_busy in calls:
        if is_busy:
            call.ack(call.expect(486))
    talking = [call for call, is_busy in calls if not is_busy]
    for call in talking:
        call.expect(180)
    for call in talking:
        call.ack(answer_of(call))
    for call in talking:
        call.bye()
    for call in talking:
        assert call.expect(200, "BYE")


def answer_of(call: SipDialog) -> SipText:
    """Its 200, which may have been repeated while the others were looked at."""
    return call.expect(200)
