"""What a part of the bench reports."""

from __future__ import annotations

import pytest

from bench.report import Figure, Report, percentile


@pytest.mark.parametrize(("percent", "expected"), [(50, 5), (95, 10), (99, 10), (10, 1), (11, 2)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(percent: float, expected: int) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], percent) == expected


def test_without_values_there_is_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_a_figure_is_quoted_as_a_multiple_of_its_limit() -> None:
    assert Figure("delay", 6.0, "ms", limit=2.0).ratio == 3.0
    assert Figure("delay", 6.0, "ms").ratio is None


@pytest.mark.parametrize(("value", "is_missed"), [(99.9, False), (100.0, True)])
def test_a_target_is_to_be_stayed_under(value: float, is_missed: bool) -> None:
    assert Figure("delay", value, "ms", target=100.0).is_missed is is_missed


def test_a_report_with_a_fault_has_failed() -> None:
    assert Report("delivery", faults=["one was lost"]).as_json()["verdict"] == "FAILED"
    assert Report("delivery").as_json()["verdict"] == "ok"
