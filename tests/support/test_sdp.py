"""Session descriptions of the tests' phones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.sdp import (
    AMR,
    CN,
    G722,
    NO_ADDRESS,
    OPUS,
    PCMA,
    PCMU,
    Direction,
    Format,
    Sdp,
    telephone_event,
)

OF_AN_ENGINE = (
    "v=0\r\no=- 3900000000 3900000001 IN IP4 127.0.0.1\r\ns=pjmedia\r\nt=0 0\r\na=X-nat:0\r\n"
    "m=audio 20100 RTP/AVP 9 96 0 120\r\nc=IN IP4 127.0.0.2\r\na=rtcp:20101 IN IP4 127.0.0.2\r\n"
    "a=sendonly\r\na=rtpmap:9 G722/8000\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n"
    "a=rtpmap:120 telephone-event/8000\r\na=fmtp:120 0-16\r\na=ptime:30\r\n"
)


def test_an_offer_is_read() -> None:
    offer = Sdp.parse(OF_AN_ENGINE)
    assert offer.address == ("127.0.0.2", 20100)
    assert offer.encodings == ["G722", "opus", "PCMU", "telephone-event"]
    assert offer.formats[1] == Format(96, "opus", 48000, 2, "useinbandfec=1")
    assert offer.payload_type("TELEPHONE-EVENT") == 120
    assert (offer.direction, offer.ptime) == (Direction.SENDONLY, 30)
    assert (offer.session_id, offer.version) == (3900000000, 3900000001)
    assert offer.attributes == ("rtcp:20101 IN IP4 127.0.0.2", "X-nat:0")
    with pytest.raises(KeyError):
        offer.payload_type("GSM")


def test_what_is_written_is_read_back() -> None:
    sdp = Sdp(
        4000,
        (PCMA, PCMU, G722, OPUS, AMR, CN, telephone_event(97)),
        Direction.INACTIVE,
        host=NO_ADDRESS,
        ptime=40,
        version=7,
        attributes=("maxptime:40",),
    )
    assert Sdp.parse(sdp.text) == sdp
    assert replace(sdp, version=8).text == sdp.text.replace("o=- 1 7", "o=- 1 8")


def test_the_session_speaks_for_a_stream_that_is_silent() -> None:
    sdp = Sdp.parse(
        "v=0\no=- 1 1 IN IP4 h\ns=-\nc=IN IP4 10.0.0.1\nt=0 0\na=inactive\n"
        "m=video 1 RTP/AVP 31\nm=audio 2 RTP/AVP 8\n"
    )
    assert (sdp.address, sdp.direction, sdp.ptime, sdp.encodings) == (
        ("10.0.0.1", 2),
        Direction.INACTIVE,
        None,
        ["PCMA"],
    )


def test_a_body_without_audio_is_no_session() -> None:
    with pytest.raises(ValueError, match="no audio stream"):
        Sdp.parse("v=0\r\n")
