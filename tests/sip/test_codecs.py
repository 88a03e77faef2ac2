"""Each leg has a codec of its own, and the bridge transcodes: a tone gets through each of them, both ways."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from itertools import pairwise
from time import monotonic

import pytest
import soundfile

from state.call import DisconnectionReason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip import g722, payloads
from tests.sip.rtp_mirror import RtpMirror
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import offered, only, talking
from tests.support.audio import (
    RATE,
    Samples,
    has_tone,
    lacks_tone,
    tone_segments,
    total_level,
    typical_tone_level,
)
from tests.support.lossy_path import LossyPath
from tests.support.rtp import Packet, ahead, read_digits, signed
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import G722, Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

CODECS = ["PCMU", "PCMA", "G722", "opus", "G729", "AMR", "GSM"]
TONE, SAID = 440.0, -12.0
"""Hz and dBFS of what the other party says."""
OCTETS = {"PCMU": {160}, "PCMA": {160}, "G722": {160}, "G729": {20}, "AMR": {32}, "GSM": {33}}
"""Of 20 ms; AMR: 12.2 kbit/s. Opus has no fixed size."""
MEDIA_TIMEOUT = 1.5
"""Seconds."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {
        "trunk": {"codecs": CODECS},
        "call": {"media_timeout": MEDIA_TIMEOUT},
        "recording": {"channels": "dual"},
    }


def test_all_are_offered_in_the_order_of_preference(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer() as caller, RtpPeer() as callee, talking(product, trunk, caller, callee) as talk:
        for phone in (talk.caller, talk.callee):
            assert [e for e in phone.offer.encodings if e != "telephone-event"] == CODECS


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_a_tone_comes_back_through_the_codec(
    product: Product, trunk: SipTrunk, path: LossyPath | None, codec: str, leg: str
) -> None:
    """One party speaks PCMU; the other's phone sends back what it gets, in its own codec."""
    with RtpPeer(TONE) as speaker, RtpMirror() as mirror:
        if leg == "callee":
            connected = talking(product, trunk, speaker, mirror, callee_sdp=only(codec))
        else:
            connected = talking(product, trunk, mirror, speaker, caller_sdp=only(codec))
        with connected as talk:
            mirror.wait_for_packets(20)
            speaker.wait_for_more_audio(packets=65)
            wait_to_hear_it(speaker)
            packets = mirror.packets()
            assert {p.payload_type for p in packets} == {talk.phone(leg).offer.payload_type(codec)}
            sizes = {len(p.payload) for p in packets}
            assert sizes == OCTETS.get(codec, sizes)
            assert_twenty_milliseconds_each(codec, packets)
            if path is None:
                stream = [p.payload for p in payloads.in_order(packets)]
                assert level(payloads.decode(codec, stream)) == pytest.approx(SAID, abs=1.5)
            call = talk.end()
    quality = call.callee_quality if leg == "callee" else call.caller_quality
    assert quality is not None
    assert quality.codec == codec


def wait_to_hear_it(speaker: RtpPeer) -> None:
    """For most of a second. Where much is lost, G.729 may take a mere tone for another."""
    wait_until(lambda: has_tone(speaker.samples(since=monotonic() - 0.8), TONE), 5.0, "the tone")


def level(samples: Samples) -> float:
    """Of the tone, at last."""
    return typical_tone_level(samples[-RATE // 2 :], TONE)


def assert_twenty_milliseconds_each(codec: str, packets: list[Packet]) -> None:
    """By what is in them, and by their timestamps."""
    stream = payloads.in_order(packets)
    assert {payloads.milliseconds(codec, p.payload) for p in stream} == {20}
    clock = payloads.CLOCK_RATES.get(codec, 8000)
    for former, later in pairwise(stream[-30:]):
        count = signed(later.sequence - former.sequence, 16)
        assert ahead(later.timestamp, former.timestamp) == count * clock // 50


def test_amr_fills_octets_where_the_party_wants_it_so(
    product: Product, trunk: SipTrunk, path: LossyPath | None
) -> None:
    """RFC 4867, section 4.4. Our offer is bandwidth-efficient, so only a party that offers can ask for it."""
    with (
        RtpPeer(TONE) as speaker,
        RtpMirror() as mirror,
        talking(product, trunk, speaker, mirror, callee_sdp=only("AMR")) as talk,
    ):
        aligned = replace(offered(talk.callee.offer, "AMR"), parameters="octet-align=1")
        answer = talk.callee.reinvite(Sdp(mirror.port, (aligned,)))
        assert "octet-align=1" in answer.sdp.formats[0].parameters
        before = len(mirror.packets())
        mirror.wait_for_packets(before + 60)
        # Two octets of headers and 31 of speech, where the other way packs all into 32.
        stream = [p.payload for p in payloads.in_order(mirror.packets()[before + 10 :])]
        assert {len(payload) for payload in stream} == {33}
        heard = payloads.amr(stream, octet_aligned=True)
        assert path is not None or level(heard) == pytest.approx(SAID, abs=1.5)
        wait_to_hear_it(speaker)


# --- wideband

LOW, HIGH = 1000.0, 6000.0
"""Hz; the second is above what a telephone carries (3.4 kHz), and 8000 samples per second can (4 kHz)."""


def has(samples: Samples, frequency: float) -> bool:
    # These functions count 8000 samples a second; at twice as many every frequency looks like half of it.
    return has_tone(samples, frequency / 2)


def lacks(samples: Samples, frequency: float) -> bool:
    return lacks_tone(samples, frequency / 2)


@pytest.mark.parametrize(("codec", "is_wideband"), [("G722", True), ("opus", True), ("PCMU", False)])
def test_wideband_on_both_legs_stays_wideband(
    product: Product, trunk: SipTrunk, codec: str, is_wideband: bool
) -> None:
    speech = {g722.PAYLOAD_TYPE: g722.tones(LOW, HIGH)}
    with RtpPeer(encoded=speech, codec=g722.PAYLOAD_TYPE) as speaker, RtpMirror() as mirror:
        g722_only = Sdp(0, (G722,))
        with talking(product, trunk, speaker, mirror, caller_sdp=g722_only, callee_sdp=only(codec)):
            mirror.wait_for_packets(50)
            heard_before = len(speaker.packets())
            wait_until(lambda: len(speaker.packets()) >= heard_before + 60)
            packets = sorted(speaker.packets()[heard_before:], key=lambda p: p.sequence)
    assert {p.payload_type for p in packets} == {g722.PAYLOAD_TYPE}
    # The decoder needs a moment to find its way into a stream that it joins.
    heard = g722.decode(b"".join(p.payload for p in packets))[g722.RATE // 5 :]
    assert has(heard, LOW)
    assert has(heard, HIGH) if is_wideband else lacks(heard, HIGH)


# --- digits and comfort noise beside the audio


@pytest.mark.parametrize(
    ("codec", "events", "clock"),
    [
        ("PCMA", "telephone-event/8000", 8000),
        ("G722", "telephone-event/8000", 8000),
        ("G729", "telephone-event/8000", 8000),
        ("opus", "telephone-event/48000", 48_000),
    ],
)
def test_digits_have_the_clock_of_the_codec_beside_them(
    product: Product, trunk: SipTrunk, codec: str, events: str, clock: int
) -> None:
    """RFC 4733, section 2.1: a duration counts the timestamp units of its stream."""
    with RtpPeer(TONE) as caller, RtpMirror() as callee:
        answer = only(codec, events)
        with talking(product, trunk, caller, callee, callee_sdp=answer) as talk:
            caller.send_digits(
                "1223",
                payload_type=talk.caller.offer.payload_type("telephone-event"),
                duration=100,
                interval=200,
            )
            payload_type = offered(talk.callee.offer, events).payload_type

            def heard() -> list[tuple[str, float]]:
                digits = read_digits(callee.packets(), payload_type)
                return [(d.digit, d.duration * 8000 / clock) for d in digits if d.ended]

            wait_until(lambda: len(heard()) >= 4)
            # And from that leg: the mirror has sent them back.
            caller.wait_for_digits("1223")
            assert heard() == [(digit, 100.0) for digit in "1223"]
            assert {d.duration for d in caller.digits()} == {100.0}


def test_comfort_noise_disturbs_nobody(product: Product, trunk: SipTrunk) -> None:
    """A phone that stops sending while its party is silent (RFC 3389), though we have not offered that."""
    with RtpPeer(TONE) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        callee.wait_for_audio(packets=20)
        for _ in range(3):
            caller.send_comfort_noise()
            callee.wait_for_more_audio(packets=10)
        since = callee.wait_for_more_audio(packets=20)
        assert lacks_tone(callee.samples(since=since), TONE)
        caller.resume()
        callee.wait_for_more_audio(packets=10)
        since = callee.wait_for_more_audio(packets=20)
        assert has_tone(callee.samples(since=since), TONE)
        assert product.status(talk.call_id) == "connected"


def test_each_codec_s_scenario(sipp: ScenarioTrunk) -> None:
    """The number's last two digits are the codec."""
    codecs = {
        "00": "PCMU",
        "03": "GSM",
        "08": "PCMA",
        "09": "G722",
        "18": "G729",
        "96": "opus",
        "97": "AMR",
    }
    with sipp.playing("codec", legs=2 * len(codecs)):
        calls = {name: sipp.product.create(fresh_number("00"), fresh_number(e)) for e, name in codecs.items()}
        for call_id in calls.values():
            sipp.product.wait_status(call_id, "connected")
            assert sipp.product.delete(call_id) == 204
    for name, call_id in calls.items():
        call = sipp.product.call(call_id)
        assert call.caller_quality is not None
        assert call.callee_quality is not None
        assert (call.caller_quality.codec, call.callee_quality.codec) == ("PCMU", name)


@pytest.mark.usefixtures("nothing_lost")
@pytest.mark.skipif(os.geteuid() != 0, reason="SIPp plays a capture through a raw socket, as root only")
def test_comfort_noise_s_scenario(sipp: ScenarioTrunk) -> None:
    """Both parties are silent for longer than `call.media_timeout`, but for their comfort noise."""
    with sipp.playing("comfort-noise", echo=False):
        call_id = sipp.product.create(fresh_number("01"), fresh_number("99"), recording=True)
        assert sipp.product.wait_ended(call_id).reason is DisconnectionReason.HANG_UP
    channels, rate = soundfile.read(io.BytesIO(sipp.product.rest.wav(call_id)), dtype="int16")
    assert rate == RATE
    for channel in channels.T:
        first, second = tone_segments(channel, TONE)
        assert second.start - first.end > 2 * MEDIA_TIMEOUT - 0.5
        assert (
            total_level(channel[round((first.end + 0.2) * RATE) : round((second.start - 0.1) * RATE)]) < -60
        )
