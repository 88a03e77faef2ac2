"""Each phone of the lab's number plan, as a SIP client finds it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from dialbridge.phones import Phones
from tests.support.audio import RATE, has_tone, lacks_tone, longest_silence, tone_level
from tests.support.digest import authorization, credentials
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import PCMU, Direction, Sdp, telephone_event
from tests.support.sip_client import HOST, SipDialog, SipText

SECOND = 50
"""Packets of 20 ms."""


@pytest.fixture
def exits(phones: Phones) -> Iterator[ExitStack]:
    """What a test leaves; SIPp must have found nothing unexpected in it."""

    def complaints() -> list[str]:
        return [child.complaints() for child in phones.children if child.complaints]

    before = complaints()
    with ExitStack() as stack:
        yield stack
    assert complaints() == before


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


@pytest.mark.parametrize("ending", ["00", "01", "02", "21", "22", "23", "26", "99"])
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


@pytest.mark.parametrize("ending", ["11", "00", "01", "20", "22", "23", "26", "27"])
def test_is_cancelled_while_it_rings(phones: Phones, exits: ExitStack, ending: str) -> None:
    call = dialog(phones, exits, ending)
    call.invite()
    assert_cancelled(call)


def assert_cancelled(call: SipDialog) -> None:
    ringing = call.expect(180, 183)
    call.cancel()
    answered = call.expect(200)
    assert answered.method == "CANCEL"
    terminated = call.expect(487)
    assert (terminated.method, terminated.cseq) == ("INVITE", answered.cseq)
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


def test_early_media_then_an_answer(phones: Phones, exits: ExitStack) -> None:
    peer = exits.enter_context(RtpPeer(None))
    call = dialog(phones, exits, "20", rtp_port=peer.port)
    call.invite()
    early = call.expect(183)
    began = time.monotonic()
    assert ";tag=" in early.header("To")
    peer.wait_for_audio(packets=2 * SECOND)
    accepted = call.expect(200)
    answered = time.monotonic()
    # Three seconds by SIPp's clock; the bounds leave room for a slow machine.
    assert 2.8 < answered - began < 6
    call.ack(accepted)
    assert accepted.sdp == early.sdp, "one answer to one offer (RFC 3264)"
    assert accepted.header("To") == early.header("To")
    since = peer.wait_for_more_audio(packets=SECOND)
    before = peer.samples(until=answered)
    assert tone_level(before[-2 * RATE :], 620) == pytest.approx(-12.3, abs=0.5)
    assert lacks_tone(before, 1000)
    heard = peer.samples(since=since + 0.1)
    assert tone_level(heard, 1000) == pytest.approx(-12.3, abs=0.5)
    assert lacks_tone(heard, 620)
    assert peer.longest_timestamp_gap(until=answered) == 0
    call.bye()
    call.expect(200)


def test_holds_and_resumes(phones: Phones, exits: ExitStack) -> None:
    call, peer = talk(phones, exits, "22", frequency=None)
    accepted = call.received[-1]
    peer.wait_for_audio(packets=SECOND)
    hold = call.expect("INVITE")
    assert hold.start_line == f"INVITE {call.sent[0].header('Contact').strip('<>')} SIP/2.0"
    assert (hold.header("From"), hold.header("To")) == (accepted.header("To"), accepted.header("From"))
    assert hold.sdp == replace(accepted.sdp, direction=Direction.SENDONLY, version=2)
    call.answer(hold, body=Sdp(peer.port, direction=Direction.RECVONLY).text)
    assert call.expect("ACK").cseq == hold.cseq
    held = time.monotonic()
    resume = call.expect("INVITE")
    resumed = time.monotonic()
    assert 1.8 < resumed - held < 6
    assert not [p for p in peer.packets() if held + 0.1 < p.at < resumed], "a held party hears nothing"
    assert resume.sdp == replace(accepted.sdp, version=3)
    assert resume.cseq == hold.cseq + 1
    assert resume.branch != hold.branch
    call.answer(resume, body=Sdp(peer.port).text)
    assert call.expect("ACK").cseq == resume.cseq
    since = peer.wait_for_more_audio(packets=SECOND)
    assert has_tone(peer.samples(since=since), 1000)
    call.bye()
    assert call.expect(200).method == "BYE"


@pytest.mark.parametrize("status", ["491 Request Pending", "488 Not Acceptable Here"])
def test_a_hold_that_is_refused(phones: Phones, exits: ExitStack, status: str) -> None:
    call, peer = talk(phones, exits, "22", frequency=None)
    hold = call.expect("INVITE")
    call.answer(hold, status)
    ack = call.expect("ACK")
    assert (ack.branch, ack.cseq) == (hold.branch, hold.cseq)
    if status.startswith("491"):
        again = call.expect("INVITE")
        assert again.sdp == hold.sdp
        assert (again.cseq, again.branch != hold.branch) == (hold.cseq + 1, True)
        call.answer(again, body=Sdp(peer.port, direction=Direction.RECVONLY).text)
        call.expect("ACK")
    else:
        peer.wait_for_more_audio(packets=SECOND)
    call.bye()
    call.expect(200)


def test_hangs_up_on_a_phone_that_holds(phones: Phones, exits: ExitStack) -> None:
    call, peer = talk(phones, exits, "22", frequency=None)
    call.answer(call.expect("INVITE"), body=Sdp(peer.port, direction=Direction.RECVONLY).text)
    call.expect("ACK")
    call.bye()
    assert call.expect(200).method == "BYE"
    assert call.receive(2.5) is None


@pytest.mark.parametrize("digits_type", [96, 101, 120])
def test_sends_digits_as_events(phones: Phones, exits: ExitStack, digits_type: int) -> None:
    peer = exits.enter_context(RtpPeer(620))
    offer = Sdp(peer.port, (PCMU, telephone_event(digits_type)))
    call = exits.enter_context(SipDialog("+447700900023", phones.sip_port, sdp=offer))
    accepted = call.establish()
    assert accepted.sdp.payload_type("telephone-event") == digits_type
    assert not peer.packets(), "it does not know yet whom to send to"
    peer.remote = accepted.sdp.address
    heard = peer.wait_for_digits("1234#", payload_type=digits_type)
    peer.wait_for_more_audio(packets=10)
    first = peer.packets()[0]
    assert [d.duration for d in heard] == [100] * 5
    assert [(d.timestamp - first.timestamp) % (1 << 32) for d in heard] == [
        RATE + i * RATE // 5 for i in range(5)
    ]
    events = [p for p in peer.packets() if p.payload_type == digits_type]
    assert sum(p.marker for p in events) == 5
    assert all(d.packets == 7 for d in peer.digits(digits_type)), "five of 20 ms, and the end twice more"
    assert len({p.ssrc for p in peer.packets()}) == 1
    assert peer.missing_sequences() == 0
    assert peer.longest_timestamp_gap() == pytest.approx(0.1)
    assert len(peer.digits(digits_type)) == 5
    call.bye()
    call.expect(200)


def test_two_calls_get_their_own_digits(phones: Phones, exits: ExitStack) -> None:
    peers = [talk(phones, exits, "23", frequency=620)[1] for _ in range(2)]
    for peer in peers:
        peer.wait_for_digits("1234#")
        assert len({p.ssrc for p in peer.packets()}) == 1


def test_a_phone_of_digits_that_may_send_none_echoes(phones: Phones, exits: ExitStack) -> None:
    peer = exits.enter_context(RtpPeer(620))
    call = SipDialog("+447700900023", phones.sip_port, rtp_port=peer.port, offer_digits=False)
    peer.remote = exits.enter_context(call).establish().sdp.address
    peer.wait_for_audio(packets=SECOND)
    assert has_tone(peer.samples(), 620)


def test_is_moved_to_the_number_ending_in_01(phones: Phones, exits: ExitStack) -> None:
    call = dialog(phones, exits, "24")
    call.invite()
    moved = call.expect(302)
    assert moved.header("Contact") == f"<sip:+447700900001@{HOST}:{phones.sip_port}>"
    call.ack(moved)
    assert call.receive(0.8) is None


def challenged(phones: Phones, exits: ExitStack) -> tuple[SipDialog, str]:
    """The call, and the challenge."""
    call = dialog(phones, exits, "25")
    call.invite()
    refusal = call.expect(401)
    call.ack(refusal)
    assert call.receive(0.8) is None
    return call, refusal.header("WWW-Authenticate")


def authorize(call: SipDialog, challenge: str, password: str) -> None:
    answer = authorization(challenge, "lab", password, "INVITE", call.uri)
    call.invite_again(f"Authorization: {answer}")


def test_asks_for_credentials_and_answers(phones: Phones, exits: ExitStack) -> None:
    call, challenge = challenged(phones, exits)
    assert challenge.startswith("Digest ")
    assert credentials(challenge)["realm"] == "dialbridge-lab"
    authorize(call, challenge, "lab-secret")
    accepted = call.until_answered()
    assert accepted.header("CSeq") == "2 INVITE"
    call.bye()
    call.expect(200)
    assert credentials(challenge)["nonce"] != credentials(challenged(phones, exits)[1])["nonce"]


def test_a_challenged_call_plays_its_tone(phones: Phones, exits: ExitStack) -> None:
    peer = exits.enter_context(RtpPeer(None))
    call, challenge = challenged(phones, exits)
    call.rtp_port = peer.port
    authorize(call, challenge, "lab-secret")
    call.until_answered()
    peer.wait_for_audio(packets=SECOND)
    assert has_tone(peer.samples(), 1000)


def test_refuses_wrong_credentials(phones: Phones, exits: ExitStack) -> None:
    call, challenge = challenged(phones, exits)
    authorize(call, challenge, "lab-guess")
    call.ack(call.expect(403))
    assert call.receive(0.8) is None


def test_a_challenged_call_is_cancelled(phones: Phones, exits: ExitStack) -> None:
    call, challenge = challenged(phones, exits)
    authorize(call, challenge, "lab-secret")
    assert_cancelled(call)


def test_answers_and_sends_no_audio(phones: Phones, exits: ExitStack) -> None:
    _, loud = talk(phones, exits, "01", frequency=620)
    _, mute = talk(phones, exits, "26", frequency=620)
    loud.wait_for_more_audio(packets=2 * SECOND)
    assert not mute.packets()


def test_never_answers_the_bye(phones: Phones, exits: ExitStack) -> None:
    call, peer = talk(phones, exits, "27", frequency=None)
    peer.wait_for_audio(packets=SECOND)
    assert has_tone(peer.samples(), 1000)
    call.bye()
    assert call.receive(0.6) is None
    call.send(call.sent[-1].text)
    assert call.receive(0.6) is None
    last = peer.packets()[-1].at
    assert time.monotonic() - last > 0.5, "it has hung up all the same"


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


def test_a_stray_request_does_no_harm(phones: Phones) -> None:
    with ExitStack() as exits:
        for method in ("BYE", "CANCEL", "ACK", "INFO", "MESSAGE"):
            stray = dialog(phones, exits, "00")
            stray.request(method, f"sip:{HOST}:{phones.sip_port}", branch=f"z9hG4bK-{method}")
        test_rings_then_answers(phones, exits, "00")


def test_a_hundred_calls_at_once(phones: Phones, exits: ExitStack) -> None:
    endings = ("00", "01", "02", "10", "22", "23", "26")
    calls = [(dialog(phones, exits, ending), ending == "10") for ending in endings for _ in range(18)]
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
