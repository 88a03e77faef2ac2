"""A party's digits, put together from what its stream reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.digits import DEFAULT_DURATION, LONGEST, SHORTEST, DigitReader, Press, read_info


def test_a_digit_is_one_press_with_its_whole_duration() -> None:
    reader = DigitReader()
    assert reader.feed("5", 1000, 20, ended=False) == []
    assert reader.is_down
    assert reader.feed("5", 1000, 60, ended=False) == []
    assert reader.feed("5", 1000, 80, ended=True) == [Press("5", 80)]
    assert not reader.is_down


def test_a_repeated_end_is_not_a_second_press() -> None:
    reader = DigitReader()
    reader.feed("5", 1000, 80, ended=True)
    assert reader.feed("5", 1000, 80, ended=True) == []
    assert reader.feed("5", 1000, 60, ended=False) == []


def test_the_same_key_pressed_again_is() -> None:
    reader = DigitReader()
    assert reader.feed("1", 1000, 80, ended=True) == [Press("1", 80)]
    assert reader.feed("1", 1100, 80, ended=True) == [Press("1", 80)]


def test_the_next_digit_ends_one_whose_end_was_lost() -> None:
    reader = DigitReader()
    reader.feed("1", 1000, 60, ended=False)
    assert reader.feed("2", 1100, 20, ended=False) == [Press("1", 60)]
    assert reader.give_up() == [Press("2", SHORTEST)]
    assert reader.give_up() == []


def test_durations_are_kept_within_what_a_phone_understands() -> None:
    assert DigitReader().feed("1", 0, 1, ended=True) == [Press("1", SHORTEST)]
    assert DigitReader().feed("1", 0, 60_000, ended=True) == [Press("1", LONGEST)]


def test_a_digit_without_a_duration_gets_one() -> None:
    assert DigitReader().feed("1", 0, 0xFFFFFFFF, ended=True) == [Press("1", DEFAULT_DURATION)]
    assert DigitReader().feed("1", 0, 0, ended=True) == [Press("1", DEFAULT_DURATION)]


def test_letters_are_upper_case_and_anything_else_is_no_digit() -> None:
    assert DigitReader().feed("d", 0, 100, ended=True) == [Press("D", 100)]
    assert DigitReader().feed("x", 0, 100, ended=True) == []


@pytest.mark.parametrize(
    ("body", "press"),
    [
        ("Signal=5\r\nDuration=160\r\n", Press("5", 160)),
        ("Signal= #\r\nDuration= 250", Press("#", 250)),
        ("signal=a\nduration=160\n", Press("A", 160)),
        ("Signal=10\r\nDuration=160", Press("*", 160)),
        ("Signal=15", Press("D", DEFAULT_DURATION)),
        ("Signal=5\r\nDuration=99999999", Press("5", LONGEST)),
        ("Signal=16\r\nDuration=160", None),
        ("Signal=\r\nDuration=160", None),
        ("Signal==5", None),
        ("Duration=160", None),
        ("5", None),
        ("", None),
    ],
)
def test_a_digit_by_info(body: str, press: Press | None) -> None:
    assert read_info(body) == press


def test_no_digit_is_in_what_logs_print() -> None:
    reader = DigitReader()
    reader.feed("7", 1000, 20, ended=False)
    assert "7" not in repr(reader)
    assert "7" not in repr(Press("7", 100))


@given(st.data(), st.text("0123456789*#ABCD", max_size=20))
def test_whatever_is_lost_each_digit_of_which_anything_came_is_pressed_once(
    data: st.DataObject, digits: str
) -> None:
    """At 10 digits per second: reports at 20, 40, 50 (the end, three times) milliseconds."""
    reader = DigitReader()
    pressed: list[Press] = []
    came = ""
    for at, digit in enumerate(digits):
        reports = [(20, False), (40, False), *[(50, True)] * 3]
        kept = [report for report in reports if data.draw(st.booleans())]
        came += digit if kept else ""
        for duration, ended in kept:
            pressed += reader.feed(digit, 100 * at, duration, ended=ended)
    pressed += reader.give_up()
    assert "".join(press.digit for press in pressed) == came
