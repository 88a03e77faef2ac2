"""The E-model, against figures that the recommendations and the literature give."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import WIDEBAND_CODECS, Codec
from media.quality import CODECS, mos, mos_of_rating, one_way_delay, rating

codecs = st.sampled_from(sorted(CODECS))
losses = st.floats(min_value=0, max_value=1)
delays = st.floats(min_value=0, max_value=2000)
bursts = st.floats(min_value=1, max_value=8)


def test_every_codec_of_the_trunk_has_a_score() -> None:
    wideband = {name for name in get_args(Codec) if CODECS[name.upper()].wideband}
    assert wideband == WIDEBAND_CODECS


def test_the_default_connection_of_g_107_is_rated_93_2() -> None:
    assert rating("PCMA", loss=0, one_way_delay_ms=0) == pytest.approx(93.2, abs=0.05)
    assert mos("PCMA", loss=0, one_way_delay_ms=0) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("value", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_ratings_become_scores_as_in_table_b_1_of_g_107(value: float, score: float) -> None:
    assert mos_of_rating(value) == pytest.approx(score, abs=0.007)


@pytest.mark.parametrize(
    ("value", "score"), [(-50, 1), (0, 1), (3, 1), (6.5, 1), (99.99999, 4.5), (100, 4.5), (130, 4.5)]
)
def test_scores_end_at_1_and_4_5(value: float, score: float) -> None:
    assert mos_of_rating(value) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("delay", [0, 20, 50, 100, 150, 200, 250, 300])
def test_delay_costs_what_cole_and_rosenbluth_found(delay: float) -> None:
    """Their two straight lines fit G.107 up to 300 ms ("Voice over IP performance monitoring", 2001)."""
    fit = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    assert 93.2 - rating("PCMU", loss=0, one_way_delay_ms=delay) == pytest.approx(fit, abs=0.3)


@pytest.mark.parametrize(
    ("codec", "loss", "impairment"),
    [
        ("PCMU", 0.02, 95 * 2 / (2 + 25.1)),
        ("PCMA", 0.10, 95 * 10 / (10 + 25.1)),
        ("G729", 0.00, 11),
        ("G729", 0.02, 11 + 84 * 2 / (2 + 19)),
        ("AMR", 0.05, 5 + 90 * 5 / (5 + 10)),
        ("GSM", 0.00, 20),
    ],
)
def test_codec_and_loss_impair_as_in_section_7_5(codec: str, loss: float, impairment: float) -> None:
    assert rating(codec, loss=loss, one_way_delay_ms=0) == pytest.approx(93.21 - impairment, abs=0.01)


@pytest.mark.parametrize(("loss", "score"), [(0.0, 4.337), (0.02, 3.585)])
def test_g_722_is_scored_on_the_wideband_scale(loss: float, score: float) -> None:
    """R = 129 - 13 without loss, then R / 1.29 to the score (G.107.1, Annex A)."""
    assert mos("G722", loss=loss, one_way_delay_ms=0) == pytest.approx(score, abs=0.001)


def test_the_wideband_scale_is_longer_for_delay_too() -> None:
    """At 200 ms, X of G.107's Idd is 1."""
    idd = 25 * (2 ** (1 / 6) - 3 * (1 + 3**-6) ** (1 / 6) + 2)
    without, late = (rating("G722", loss=0, one_way_delay_ms=delay) for delay in (100, 200))
    assert without - late == pytest.approx(1.29 * idd)


def test_losses_in_bursts_count_more() -> None:
    """G.107 gives them the smaller denominator."""
    random = rating("PCMU", loss=0.05, one_way_delay_ms=0)
    bursts = rating("PCMU", loss=0.05, one_way_delay_ms=0, burst_ratio=2)
    assert random - bursts == pytest.approx(95 * 5 / (2.5 + 25.1) - 95 * 5 / (5 + 25.1))


def test_the_name_may_be_written_in_either_case() -> None:
    assert mos("opus", loss=0, one_way_delay_ms=0) == mos("OPUS", loss=0, one_way_delay_ms=0)


def test_an_unknown_codec_has_no_score() -> None:
    with pytest.raises(LookupError, match="speex"):
        mos("speex", loss=0, one_way_delay_ms=0)


@given(codecs, losses, delays, bursts)
def test_a_score_is_between_1_and_4_5(codec: str, loss: float, delay: float, burst: float) -> None:
    assert 1 <= mos(codec, loss=loss, one_way_delay_ms=delay, burst_ratio=burst) <= 4.5


@given(codecs, losses, losses, delays, bursts)
def test_more_loss_never_sounds_better(codec: str, a: float, b: float, delay: float, burst: float) -> None:
    less, more = (
        mos(codec, loss=x, one_way_delay_ms=delay, burst_ratio=burst) for x in (min(a, b), max(a, b))
    )
    assert more <= less + 1e-9


@given(codecs, losses, delays, delays)
def test_more_delay_never_sounds_better(codec: str, loss: float, a: float, b: float) -> None:
    less, more = (mos(codec, loss=loss, one_way_delay_ms=x) for x in (min(a, b), max(a, b)))
    assert more <= less + 1e-9


@pytest.mark.parametrize(("loss", "like"), [(-0.01, 0), (1.5, 1)])
def test_a_loss_out_of_bounds_counts_as_the_bound(loss: float, like: float) -> None:
    assert mos("PCMU", loss=loss, one_way_delay_ms=20) == mos("PCMU", loss=like, one_way_delay_ms=20)


def test_the_delay_is_half_the_round_trip_the_buffer_and_one_packet() -> None:
    assert one_way_delay(80, 60, 20) == 120
    assert one_way_delay(None, 60, 20) == 80
