"""The measuring tools themselves."""

from __future__ import annotations

import numpy as np
import pytest

from dialbridge.phones import mulaw_tone
from tests.support.audio import (
    RATE,
    SILENCE,
    alaw_decode,
    alaw_encode,
    longest_silence,
    mean_tone_level,
    mulaw_decode,
    mulaw_encode,
    tone,
    tone_level,
    tone_segments,
    total_level,
    typical_tone_level,
)
from tests.support.rtp_peer import HOST, RtpPeer


def test_mulaw_is_g711() -> None:
    # ITU-T G.711, table 2a: the ends of both branches, and the two zeros.
    assert mulaw_decode(bytes([0x80, 0x00, 0xFF, 0x7F])).tolist() == [32124, -32124, 0, 0]
    every = bytes(c for c in range(256) if c != 0x7F)
    assert mulaw_encode(mulaw_decode(every)) == every


def test_alaw_is_g711() -> None:
    # ITU-T G.711, table 1a: the ends of both branches, and the two values about zero.
    assert alaw_decode(bytes([0xAA, 0x2A, 0xD5, 0x55])).tolist() == [32256, -32256, 8, -8]
    every = bytes(range(256))
    assert alaw_encode(alaw_decode(every)) == every
    heard = alaw_decode(alaw_encode(tone(440, 0.5)))
    assert tone_level(heard, 440) == pytest.approx(-12, abs=0.1)


def test_the_phones_tone_is_the_same_mulaw() -> None:
    assert tone_level(mulaw_decode(mulaw_tone(440)), 440) == pytest.approx(-12.25, abs=0.1)


def test_levels_are_of_full_scale() -> None:
    heard = tone(1000, 0.5, dbfs=-20)
    assert tone_level(heard, 1000) == pytest.approx(-20, abs=0.1)
    assert total_level(heard) == pytest.approx(-20, abs=0.1)
    assert tone_level(heard, 440) < -60
    assert tone_level(np.zeros(800, dtype=np.int16), 440) == SILENCE


def test_the_mean_level_does_not_mind_a_shifted_phase() -> None:
    half_a_period = round(RATE / 440 / 2)
    shifted = np.concatenate([tone(440, 2.0), tone(440, 2.1)[half_a_period:]])
    assert tone_level(shifted, 440) < -30
    assert mean_tone_level(shifted, 440) == pytest.approx(-12, abs=0.7)
    assert mean_tone_level(tone(440, 3.0), 440) == pytest.approx(-12, abs=0.1)


def test_the_typical_level_does_not_mind_lost_packets_nor_bursts() -> None:
    samples = tone(440, 1.0)
    for at in (1500, 5200):
        samples[at : at + 320] = 0
    assert tone_level(samples, 440) < -12.5
    samples[3000:3200] = tone(440, 0.025, dbfs=0)
    assert typical_tone_level(samples, 440) == pytest.approx(-12, abs=0.1)


def test_segments_and_silence() -> None:
    quiet = np.zeros(RATE // 2, dtype=np.int16)
    heard = np.concatenate([quiet, tone(440, 1.0), quiet, tone(440, 0.5)])
    first, second = tone_segments(heard, 440)
    assert first.start == pytest.approx(0.5, abs=0.04)
    assert first.end == pytest.approx(1.5, abs=0.04)
    assert second.length == pytest.approx(0.5, abs=0.06)
    assert longest_silence(heard) == pytest.approx(0.5, abs=0.001)
    assert longest_silence(tone(440, 1.0)) < 0.001


def test_two_peers_hear_each_other() -> None:
    with RtpPeer(440) as first, RtpPeer(1000, remote=(HOST, first.port)) as second:
        first.wait_for_audio(packets=50)
        second.wait_for_audio(packets=50)
        assert tone_level(first.samples(), 1000) == pytest.approx(-12, abs=0.3)
        assert tone_level(second.samples(), 440) == pytest.approx(-12, abs=0.3)
        assert first.missing_sequences() == 0
        assert first.longest_timestamp_gap() == 0
        assert longest_silence(first.samples()) < 0.001
