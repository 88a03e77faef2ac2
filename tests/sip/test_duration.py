"""The maximum duration of a call, and the tone that warns of it."""

from __future__ import annotations

import io

import pytest
import soundfile

from state.call import DisconnectionReason as Reason
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, cause, connect
from tests.support.audio import Samples, has_tone, tone_segments
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

MAX_DURATION, WARNING = 5.0, 2.0
"""Seconds; the second before the end of the first."""
CALLER_TONE, CALLEE_TONE = 440.0, 1000.0
BEEP, BEEP_LENGTH = 1400.0, 0.4
"""ITU-T E.180, section 11."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"call": {"max_duration": MAX_DURATION, "duration_warning": WARNING}}


@pytest.mark.paths("direct", "lossy")
def test_both_are_warned_over_the_talk_and_the_call_ends_at_its_maximum_duration(
    product: Product, trunk: SipTrunk
) -> None:
    with RtpPeer(CALLER_TONE) as caller, RtpPeer(CALLEE_TONE) as callee:
        talk = connect(product, trunk, caller_rtp=caller.port, callee_rtp=callee.port, recording=True)
        ended = assert_ended(product, talk.call_id, Reason.OTHER)
    assert ended.duration == int(MAX_DURATION)
    for phone in (talk.caller, talk.callee):
        assert cause(phone, "BYE") == "Q.850;cause=102"
    assert_warned(caller.samples(), CALLEE_TONE)
    assert_warned(callee.samples(), CALLER_TONE)
    recorded, _ = soundfile.read(io.BytesIO(product.rest.wav(talk.call_id)), dtype="int16")
    assert has_tone(recorded, CALLER_TONE)
    assert has_tone(recorded, CALLEE_TONE)
    assert not tone_segments(recorded, BEEP)


def assert_warned(heard: Samples, talk: float) -> None:
    """One beep, its time before the end, and the other party under it all the while."""
    (beep,) = tone_segments(heard, BEEP)
    end = len(heard) / 8000
    assert beep.length == pytest.approx(BEEP_LENGTH, abs=0.12)
    assert end - beep.start == pytest.approx(WARNING, abs=0.4)
    (talked,) = (s for s in tone_segments(heard, talk) if s.start <= beep.start < s.end)
    assert talked.end >= beep.end


def test_no_warning_comes_in_a_call_that_ends_before_it(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(CALLER_TONE) as caller, RtpPeer(CALLEE_TONE) as callee:
        talk = connect(product, trunk, caller_rtp=caller.port, callee_rtp=callee.port)
        callee.wait_for_more_audio(packets=50)
        talk.end()
        talk.callee.wait_for("BYE")
    assert not tone_segments(caller.samples(), BEEP)
    assert not tone_segments(callee.samples(), BEEP)
