"""Header fields that decide something, in the forms RFC 3261 and RFC 3326 allow."""

import pytest

from engine.sip_messages import (
    contact_uris,
    offers_codec,
    q850_cause,
    sip_call_id,
    with_ptime,
    without_digits,
)


def message(*headers: str, body: str = "") -> str:
    return "\r\n".join(["SIP/2.0 480 Temporarily Unavailable", *headers, "", body])


@pytest.mark.parametrize("header", ["Call-ID: a@b", "call-id:a@b", "i: a@b", "CALL-ID  :  a@b"])
def test_call_id_in_long_and_compact_form(header: str) -> None:
    assert sip_call_id(message("Via: SIP/2.0/UDP x", header)) == "a@b"


def test_a_call_id_in_the_body_is_not_the_message_s() -> None:
    assert sip_call_id(message("Via: SIP/2.0/UDP x", body="Call-ID: trap")) is None


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ('Reason: Q.850;cause=17;text="User busy"', 17),
        ("reason:q.850 ; cause = 19", 19),
        ('Reason: SIP;cause=480;text="x", Q.850;cause=18', 18),
        ('Reason: Q.850;text="gone";cause=1', 1),
        ("Reason: SIP;cause=486", None),
        ("Reason: Q.850", None),
        ("Reason: Q.850;cause=0", None),
        ("Reason: Q.850;cause=999", None),
        ("X-Reason: Q.850;cause=17", None),
    ],
)
def test_q850_cause_of_a_reason_header(header: str, cause: int | None) -> None:
    assert q850_cause(message(header)) == cause


def test_the_first_q850_of_several_reason_headers() -> None:
    assert q850_cause(message("Reason: SIP;cause=200", "Reason: Q.850;cause=21")) == 21


@pytest.mark.parametrize(
    ("headers", "uris"),
    [
        (["Contact: <sip:a@b>"], ["sip:a@b"]),
        (["m:sip:a@b;q=0.3"], ["sip:a@b"]),
        (["contact : tel:+1;q=0.2 , <tel:+2;x=y>;expires=5;q=0.4"], ["tel:+2;x=y", "tel:+1"]),
        (
            ["Contact: <sip:a@b>;q=0.5", "Contact: <sip:c@d>", "Contact: <sip:e@f>;q=0.5"],
            ["sip:c@d", "sip:a@b", "sip:e@f"],
        ),
        (
            ['Contact: "Doe, \\"J\\" <x>" <sip:a@b,c>;p="1,2;q=0", Jane Roe <sip:d@e>'],
            ["sip:a@b,c", "sip:d@e"],
        ),
        (["Contact: <sip:a@b>,\r\n\t<sip:c@d>;q=0.9"], ["sip:a@b", "sip:c@d"]),
        (["Contact: *"], ["*"]),
        (["X-Contact: <sip:a@b>", "Contact:"], []),
    ],
)
def test_contacts_by_their_preference(headers: list[str], uris: list[str]) -> None:
    assert contact_uris(message(*headers, body="Contact: <sip:trap@b>")) == uris


def test_a_description_says_which_packet_length_we_want() -> None:
    session = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    audio = "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\nb=TIAS:64000\r\n"
    video = "m=video 0 RTP/AVP 31\r\na=inactive\r\n"
    assert with_ptime(f"{session}{audio}a=sendrecv\r\n{video}", 30) == (
        f"{session}{audio}a=ptime:30\r\na=sendrecv\r\n{video}"
    )
    own = f"{session}{audio}a=ptime:10\r\n"
    assert with_ptime(own, 30) == own
    assert with_ptime(f"{session}{video}", 30) == f"{session}{video}"


@pytest.mark.parametrize(
    ("formats", "rtpmaps", "usable"),
    [
        ("0", (), True),
        ("18 101", ("101 telephone-event/8000",), False),
        ("110 8", ("110 iLBC/8000",), True),
        ("110", ("110 iLBC/8000",), False),
        ("101", ("101 telephone-event/8000",), False),
        ("97", ("97 OPUS/48000/2",), True),
        ("97", ("96 opus/48000/2",), False),
        ("0", ("0 PCMU/8000",), True),
    ],
)
def test_an_offer_is_of_use_if_it_has_one_of_our_codecs(
    formats: str, rtpmaps: tuple[str, ...], usable: bool
) -> None:
    lines = ["v=0", "s=-", f"m=audio 4000 RTP/AVP {formats}", *(f"a=rtpmap:{r}" for r in rtpmaps), ""]
    assert offers_codec("\r\n".join(lines), ("PCMU", "PCMA", "opus")) is usable


def test_an_offer_without_audio_is_of_no_use() -> None:
    assert not offers_codec("v=0\r\ns=-\r\nm=video 4000 RTP/AVP 0\r\n", ("PCMU",))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("Signal=5\r\nDuration=160\r\n", "Signal=x\r\nDuration=160\r\n"),
        ("Duration=160\r\nsignal = 11", "Duration=160\r\nsignal = xx"),
        ("Signal==5\r\n", "Signal==x\r\n"),
        ("Signal=d\nDuration=160\n", "Signal=x\nDuration=160\n"),
        ("5", "x"),
        (" #\r\n", " x\r\n"),
        ("1234*", "xxxxx"),
        (
            "--b\r\nContent-Type: application/dtmf\r\n\r\n7\r\n--b--",
            "--b\r\nContent-Type: application/dtmf\r\n\r\nx\r\n--b--",
        ),
        ("<to_encoder>1</to_encoder>", "<to_encoder>1</to_encoder>"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_a_trace_without_the_digits_of_an_info(body: str, shown: str, line_end: str) -> None:
    head = line_end.join(["INFO sip:5@127.0.0.1:5060 SIP/2.0", "Call-ID: 5", "CSeq: 5 INFO", "l: 5", "", ""])
    assert without_digits(head + body) == head + shown
    assert len(shown) == len(body)


def test_a_dropped_info_in_the_log() -> None:
    text = "Dropped packet:INFO sip:5@127.0.0.1 SIP/2.0\r\nCSeq: bad\r\n\r\nSignal=5\r\n\n-- end of packet."
    assert without_digits(text) == text.replace("=5", "=x")


def test_only_an_info_has_digits() -> None:
    other = "MESSAGE sip:5@127.0.0.1 SIP/2.0\r\nCSeq: 5 MESSAGE\r\n\r\nSignal=5\r\nCSeq: 5 INFO\r\n5"
    assert without_digits(other) == other


def test_a_response_that_repeats_the_digit() -> None:
    assert without_digits("SIP/2.0 200 OK\r\nCSeq:  7 INFO\r\n\r\nSignal=5") == (
        "SIP/2.0 200 OK\r\nCSeq:  7 INFO\r\n\r\nSignal=x"
    )
