"""Alarms fire once, in order, unless stopped."""

from engine.timers import Timers


def test_due_alarms_fire_once_in_order_of_their_time() -> None:
    timers, fired = Timers(), list[str]()
    timers.start(-1, lambda: fired.append("second"))
    timers.start(-2, lambda: fired.append("first"))
    timers.start(3600, lambda: fired.append("never"))
    timers.fire_due()
    timers.fire_due()
    assert fired == ["first", "second"]
    assert len(timers) == 1


def test_a_stopped_alarm_does_not_fire() -> None:
    timers, fired = Timers(), list[str]()
    alarm = timers.start(-1, lambda: fired.append("x"))
    timers.stop(alarm)
    timers.stop(alarm)
    timers.fire_due()
    assert fired == []
    assert len(timers) == 0


def test_an_alarm_may_stop_another_that_is_due() -> None:
    timers, fired = Timers(), list[str]()
    timers.start(-2, lambda: timers.stop(later))
    later = timers.start(-1, lambda: fired.append("x"))
    timers.fire_due()
    assert fired == []


def test_stopped_alarms_of_the_far_future_are_not_kept() -> None:
    timers = Timers()
    for _ in range(10_000):
        timers.stop(timers.start(4 * 3600, lambda: None))
    assert len(timers._heap) < 100
