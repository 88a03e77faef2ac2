"""Sinks that are down get one attempt at a time, with growing pauses, and all of them when they are back."""

from __future__ import annotations

import pytest

from api.sink_health import PROBE_AT_MOST, SinkHealth

SINK = ("acme", "sink.example:443")
OTHER = ("globex", "sink.example:443")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> SinkHealth:
    return SinkHealth(1.0, clock)


def test_a_sink_without_history_may_be_tried(health: SinkHealth) -> None:
    assert health.wait(SINK) == 0


def test_one_that_was_missed_is_probed_with_growing_pauses(health: SinkHealth, clock: Clock) -> None:
    health.began(SINK)
    health.missed(SINK)
    for pause in (1, 2, 4, 8, 16, PROBE_AT_MOST, PROBE_AT_MOST):
        assert health.wait(SINK) == pause
        clock.now += pause
        assert health.wait(SINK) == 0
        health.began(SINK)
        assert health.wait(SINK) > 0, "a second event must not go with the probe"
        health.missed(SINK)


def test_attempts_that_were_on_their_way_when_it_went_down_lengthen_no_pause(health: SinkHealth) -> None:
    for _ in range(30):
        health.began(SINK)
    for _ in range(30):
        health.missed(SINK)
    assert health.wait(SINK) == 1


def test_one_that_answers_is_open_at_once(health: SinkHealth, clock: Clock) -> None:
    health.missed(SINK)
    clock.now += 1
    health.began(SINK)
    health.reached(SINK)
    assert health.wait(SINK) == 0
    health.missed(SINK)
    assert health.wait(SINK) == 1


def test_sinks_and_enterprises_are_independent(health: SinkHealth) -> None:
    health.missed(SINK)
    assert health.wait(OTHER) == 0
    health.reached(OTHER)
    assert health.wait(SINK) == 1
