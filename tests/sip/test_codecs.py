"""Each leg has a codec of its own, and the bridge transcodes: a tone gets through each of them, both ways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip import g722
from tests.sip.rtp_mirror import RtpMirror
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import talking
from tests.support.audio import Samples, has_tone, lacks_tone
from tests.support.rtp import read_digits
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import G722, Format, Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

CODECS = ["PCMU", "PCMA", "G722", "opus", "G729", "AMR", "GSM"]
TONE = 440.0
OCTETS = {"PCMU": {160}, "PCMA": {160}, "G722": {160}, "G729": {20}, "AMR": {32}, "GSM": {33}}
"""Of 20 ms; AMR: 12.2 kbit/s. Opus has no fixed size."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"trunk": {"codecs": CODECS}}


def only(codec: str, *also: str) -> Callable[[Sdp], Sdp]:
    """An answer with these formats as they were offered: what comes back to us must be named as we named it
    (RFC 3264, section 5.1)."""

    def answer(offer: Sdp) -> Sdp:
        return Sdp(0, tuple(_offered(offer, name) for name in (codec, *also)))

    return answer


def _offered(offer: Sdp, name: str) -> Format:
    encoding, _, rate = name.partition("/")
    return next(
        f for f in offer.formats if f.encoding.lower() == encoding.lower() and rate in ("", str(f.clock_rate))
    )


def test_all_are_offered_in_the_order_of_preference(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer() as caller, RtpPeer() as callee, talking(product, trunk, caller, callee) as talk:
        for phone in (talk.caller, talk.callee):
            assert [e for e in phone.offer.encodings if e != "telephone-event"] == CODECS


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("leg", ["caller", "callee"])
def test_a_tone_comes_back_through_the_codec(product: Product, trunk: SipTrunk, codec: str, leg: str) -> None:
    """One party speaks PCMU; the other's phone sends back what it gets, in its own codec."""
    with RtpPeer(TONE) as speaker, RtpMirror() as mirror:
        if leg == "callee":
            connected = talking(product, trunk, speaker, mirror, callee_sdp=only(codec))
        else:
            connected = talking(product, trunk, mirror, speaker, caller_sdp=only(codec))
        with connected as talk:
            mirror.wait_for_packets(20)
            speaker.wait_for_more_audio(packets=25)
            since = speaker.wait_for_more_audio(packets=40)
            assert has_tone(speaker.samples(since=since), TONE)
            packets = mirror.packets()
            assert {p.payload_type for p in packets} == {talk.phone(leg).offer.payload_type(codec)}
            sizes = {len(p.payload) for p in packets}
            assert sizes == OCTETS.get(codec, sizes)
            call = talk.end()
    quality = call.callee_quality if leg == "callee" else call.caller_quality
    assert quality is not None
    assert quality.codec == codec


# --- wideband

LOW, HIGH = 1000.0, 6000.0
"""Hz; the second is above what a telephone carries (3.4 kHz), and 8000 samples per second can (4 kHz)."""


def wideband_speech() -> bytes:
    """One second of both tones in G.722."""
    time = np.arange(g722.RATE) / g722.RATE
    both = sum(4000 * np.sin(2 * np.pi * frequency * time) for frequency in (LOW, HIGH))
    return g722.encode(np.round(both).astype(np.int16))


def has(samples: Samples, frequency: float) -> bool:
    # These functions count 8000 samples a second; at twice as many every frequency looks like half of it.
    return has_tone(samples, frequency / 2)


def lacks(samples: Samples, frequency: float) -> bool:
    return lacks_tone(samples, frequency / 2)


@pytest.mark.parametrize(("codec", "is_wideband"), [("G722", True), ("opus", True), ("PCMU", False)])
def test_wideband_on_both_legs_stays_wideband(
    product: Product, trunk: SipTrunk, codec: str, is_wideband: bool
) -> None:
    speech = {g722.PAYLOAD_TYPE: wideband_speech()}
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
            payload_type = _offered(talk.callee.offer, events).payload_type

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


def test_the_scenario(sipp: ScenarioTrunk) -> None:
    """The number's last two digits are the payload type."""
    codecs = {"00": "PCMU", "03": "GSM", "08": "PCMA", "09": "G722", "18": "G729"}
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
