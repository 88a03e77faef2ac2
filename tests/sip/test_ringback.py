"""What the caller hears until the callee answers while the network plays nothing: its country's tone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from math import log10

import pytest

from media.ringback_tones import TONES, RingbackTone
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.conftest import StartProduct
from tests.sip.heard import AUDIBLE, FRAME, SIZE, bridged, heard, runs
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.waiting_caller import waiting_caller
from tests.support.audio import RATE, Samples, tone_level, total_level
from tests.support.lossy_path import LossyPath
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

OWN = RingbackTone((620, 900), (300, 100, 100, 500))
LISTENED = 9.0
"""Seconds: a whole period of each tone, and the first sound of the next."""
PROGRESS = ("100 Trying", "180 Ringing", "183 Session Progress")
"""Without SDP none of them changes what the caller hears."""
EXACT, ROUGH = 0.04, 0.08
"""Seconds by which a sound or a pause may be longer or shorter; rough where its edge may be lost."""


@dataclass(frozen=True)
class Row:
    callee: str
    tone: RingbackTone
    settings: str = "auto"


ROWS = [
    Row("+4930901820", TONES["DE"]),
    Row("+12125550101", TONES["US"]),
    Row("+447700900123", TONES["GB"]),
    Row("+33199000123", TONES["FR"]),
    Row("+81312345678", TONES["JP"]),
    Row("+88212345678", TONES["DE"]),  # a satellite network has no tone of its own: E.180's
    Row("+4930901821", TONES["FR"], "fixed"),
    Row("+4930901822", OWN, "own"),
]
RINGS = 620
SETTINGS: dict[str, dict[str, object]] = {
    "auto": {},
    "fixed": {"country": "FR"},
    "own": {"tone": {"frequencies": OWN.frequencies, "cadence": OWN.cadence}},
}


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    """A tone without a pause that would hide where it ends."""
    return {"ringback": {"tone": {"frequencies": [RINGS], "cadence": [5000, 20]}}}


@pytest.fixture(scope="module")
def listened(start_product: StartProduct, trunk: SipTrunk) -> Iterator[dict[str, Samples]]:
    """What the callers of all rows heard, at the same time, by the callee's number."""
    allowed = {"classes": ["international_network"]}  # as +882 is
    products = {name: start_product({"ringback": keys, "policy": allowed}) for name, keys in SETTINGS.items()}
    with ExitStack() as stack:
        calls = {}
        for row in ROWS:
            ear = stack.enter_context(RtpPeer(440))
            product = products[row.settings]
            call = stack.enter_context(waiting_caller(product, trunk, ear, callee=row.callee))
            calls[row.callee] = call
        for progress, call in zip(cycle(PROGRESS), calls.values()):
            call.callee.respond(progress)
        for call in calls.values():
            call.ear.wait_for_audio(packets=round(LISTENED / FRAME), timeout=60)
        yield {callee: call.ear.samples() for callee, call in calls.items()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.callee}-{row.settings}")
def test_the_caller_hears_the_callee_s_country_s_tone_whatever_progress_there_is(
    listened: dict[str, Samples], path: LossyPath | None, row: Row
) -> None:
    """Frequencies and cadence, as the caller's RTP has them from the first packet to the last."""
    samples = listened[row.callee]
    tolerance = EXACT if path is None else ROUGH
    expected = cycle(zip(row.tone.cadence, cycle("?."), strict=False))
    line = bridged(heard(samples), 2 if path is None else 3)
    silence = len(line) - len(line.lstrip("."))
    assert silence * FRAME <= tolerance, "nothing was heard at first"
    position = silence * SIZE
    for (letter, seconds), (milliseconds, kind) in zip(runs(line.lstrip("."))[:-1], expected, strict=False):
        assert letter == kind, f"at {position / RATE} s"
        assert seconds == pytest.approx(milliseconds / 1000, abs=tolerance)
        end = position + round(seconds * RATE)
        if letter == "?":
            assert_is(row.tone, samples[position:end], path)
        position = end
    assert position > sum(row.tone.cadence) / 1000 * RATE


def assert_is(tone: RingbackTone, sound: Samples, path: LossyPath | None) -> None:
    """Its frequencies, equally loud, and nothing else."""
    levels = [tone_level(sound, frequency) for frequency in tone.frequencies]
    if path is not None:
        # A packet that was lost is missing in the level, and a sound of 100 ms has only five.
        assert min(levels) > AUDIBLE
        return
    assert min(levels) > -20
    assert max(levels) - min(levels) < 1
    power = sum(10 ** (level / 10) for level in levels)
    assert 10 * log10(power) == pytest.approx(total_level(sound), abs=0.5)


def test_ringback_ends_with_the_answer_and_never_mixes_with_talk(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(1800) as ear, RtpPeer(1400) as mouth:
        with waiting_caller(product, trunk, ear) as call:
            call.callee.respond("180 Ringing")
            ear.wait_for_audio(packets=100)
            call.connect(mouth)
            ear.wait_for_more_audio(packets=60)
        line = heard(ear.samples(), r=RINGS, t=1400)
    quality = product.call(call.call_id).caller_quality
    assert quality is not None
    assert quality.packets_discarded <= 30, "what nobody heard while the caller waited counts as bad quality"
    assert re.fullmatch("[r.]{60,}[?.]{0,3}t{50,}[?.]{0,5}", line), line


def test_sipp_plays_a_network_that_only_rings(sipp: ScenarioTrunk) -> None:
    product = sipp.product
    with sipp.playing("ringback"):
        call_id = product.create(fresh_number(), fresh_number())
        product.wait_status(call_id, "connected")
        assert product.delete(call_id) == 204
    ringing = [m.leg for m in product.sip_messages(call_id) if m.start_line == "SIP/2.0 180 Ringing"]
    assert ringing == ["caller", "callee"]
    assert product.event_states(call_id) == [
        "initiating",
        "callingCaller",
        "callingCallee",
        "connected",
        "disconnected",
    ]
