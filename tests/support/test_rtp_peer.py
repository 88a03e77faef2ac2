"""The tests' RTP party: its digits, its pace, and what it makes of what it hears."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest

from tests.support.audio import has_tone, lacks_tone, tone_level
from tests.support.rtp import MALFORMED, RATE, read_packet
from tests.support.rtp_peer import COMFORT_NOISE, HOST, PCMA, PCMU, RtpPeer
from tests.support.waiting import wait_until

ALL_DIGITS = "0123456789*#ABCD"


def test_ten_digits_a_second_among_audio() -> None:
    with RtpPeer() as ear, RtpPeer(440, remote=(HOST, ear.port)) as mouth:
        ear.wait_for_audio(packets=5)
        mouth.send_digits(ALL_DIGITS, payload_type=97, duration=60, interval=100)
        heard = ear.wait_for_digits(ALL_DIGITS, payload_type=97)
        mouth.wait_digits_sent()
        ear.wait_for_more_audio(packets=5)
        assert [d.duration for d in heard] == [60.0] * 16
        assert all(d.ended for d in heard)
        assert {later.timestamp - former.timestamp for former, later in pairwise(heard)} <= {
            RATE // 10,
            RATE // 10 - (1 << 32),
        }
        # Two updates and three ends each (RFC 4733, 2.5.1), in one stream with the audio.
        events = [p for p in ear.packets() if p.payload_type == 97]
        assert len(events) == 16 * 5
        assert sum(p.marker for p in events) == 16
        assert ear.missing_sequences() == 0
        assert len({p.ssrc for p in ear.packets()}) == 1


@pytest.mark.parametrize("ptime", [10, 20, 30, 40])
@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_a_tone_in_either_law_at_any_pace(codec: int, ptime: int) -> None:
    with RtpPeer() as ear, RtpPeer(1000, remote=(HOST, ear.port), codec=codec, ptime=ptime):
        ear.wait_for_audio(packets=20)
        assert {(p.payload_type, len(p.payload)) for p in ear.packets()} == {(codec, ptime * 8)}
        assert tone_level(ear.samples(), 1000) == pytest.approx(-12, abs=0.5)
        assert ear.longest_timestamp_gap() == 0


def test_codec_pace_and_address_change_in_mid_stream() -> None:
    with RtpPeer() as first, RtpPeer() as second, RtpPeer(440, remote=(HOST, first.port)) as mouth:
        first.wait_for_audio(packets=10)
        mouth.codec, mouth.ptime = PCMA, 30
        wait_until(lambda: first.packets()[-1].payload_type == PCMA)
        mouth.remote = (HOST, second.port)
        second.wait_for_audio(packets=20)
        assert has_tone(first.samples(), 440)
        assert has_tone(second.samples(), 440)
        assert first.longest_timestamp_gap() == 0


def test_a_pause_is_a_gap_and_then_a_new_talkspurt() -> None:
    with RtpPeer() as ear, RtpPeer(440, remote=(HOST, ear.port)) as mouth:
        ear.wait_for_audio(packets=5)
        mouth.send_comfort_noise(50)
        wait_until(lambda: ear.packets()[-1].payload_type == COMFORT_NOISE)
        assert ear.packets()[-1].payload == bytes([50])
        before = len(ear.packets())
        mouth.resume()
        ear.wait_for_more_audio(packets=5)
        assert ear.packets()[before].marker
        mouth.pause()
        mouth.send_digits("5", duration=100)
        ear.wait_for_digits("5")
        assert ear.packets()[-1].payload_type == 101


def test_loss_and_jitter_spoil_what_is_sent() -> None:
    with (
        RtpPeer() as ear,
        RtpPeer(440, remote=(HOST, ear.port), ptime=10, loss=0.2, jitter=8.0) as mouth,
    ):
        ear.wait_for_audio(packets=160)
        assert 20 <= ear.missing_sequences() <= 60
    assert mouth.sent >= 160


def test_what_is_not_rtp_is_not_heard() -> None:
    with RtpPeer() as ear, RtpPeer(remote=(HOST, ear.port)) as mouth:
        for datagram in MALFORMED.values():
            mouth.send_raw(datagram)
        mouth.send_digits("1")
        ear.wait_for_digits("1")
        readable = [read_packet(datagram, (HOST, 0), 0.0) for datagram in MALFORMED.values()]
        malformed = [p.payload_type for p in readable if p is not None]
        assert [p.payload_type for p in ear.packets()][: len(malformed)] == malformed
        assert len(malformed) < len(MALFORMED)


def test_rtcp_goes_to_the_next_port() -> None:
    with RtpPeer() as ear, RtpPeer(remote=(HOST, ear.port)) as mouth:
        mouth.send_raw(b"RTCP", rtcp=True)
        ear._rtcp.settimeout(5.0)
        assert ear._rtcp.recv(100) == b"RTCP"


def test_lacking_a_remote_it_answers_who_speaks_first() -> None:
    with RtpPeer(440) as peer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((HOST, 0))
        stranger.settimeout(5.0)
        stranger.sendto(b"\x80\x00" + bytes(170), (HOST, peer.port))
        assert len(stranger.recv(2048)) == 172
        assert lacks_tone(peer.samples(), 440)
