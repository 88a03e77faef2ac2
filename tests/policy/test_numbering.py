"""The country and the class of a number."""

from __future__ import annotations

import pytest

from config import NumberClass
from policy.numbering import Numbering, numbering_of


@pytest.mark.parametrize(
    ("number", "number_class"),
    [
        ("+449012345678", NumberClass.PREMIUM_RATE),
        ("+19005551234", NumberClass.PREMIUM_RATE),
        ("+97912345678", NumberClass.PREMIUM_RATE),
        ("+491801234567", NumberClass.SHARED_COST),
        ("+80812345678", NumberClass.SHARED_COST),
        ("+447012345678", NumberClass.PERSONAL),
        ("+878101234567890", NumberClass.PERSONAL),
        ("+443069990000", NumberClass.UNIVERSAL_ACCESS),
        ("+870773111222", NumberClass.SATELLITE),
        ("+881612345678", NumberClass.SATELLITE),
        ("+88213000000", NumberClass.INTERNATIONAL_NETWORK),
        ("+8835100000000", NumberClass.INTERNATIONAL_NETWORK),
        ("+888123456789", NumberClass.INTERNATIONAL_NETWORK),
        ("+44999", NumberClass.EMERGENCY),
        ("+49110", NumberClass.EMERGENCY),
        ("+33112", NumberClass.EMERGENCY),
        ("+999123456", NumberClass.UNASSIGNED),
        ("+210123456789", NumberClass.UNASSIGNED),
    ],
)
def test_what_costs_more_than_a_call_has_a_class(number: str, number_class: NumberClass) -> None:
    assert numbering_of(number).number_class is number_class


@pytest.mark.parametrize(
    "number",
    [
        "+44901234567899",  # two digits more than the number that is reached
        "+4490123456780",
        "+4409012345678",  # with the prefix of national calls
        "+44999123",
        "+1911911",
    ],
)
def test_digits_that_networks_ignore_hide_no_class(number: str) -> None:
    assert numbering_of(number).number_class in (NumberClass.PREMIUM_RATE, NumberClass.EMERGENCY)


@pytest.mark.parametrize(
    "number",
    [
        "+12345678",  # click-to-dial.yaml
        "+12345",
        "+123456789012345",
        "+447700900000",
        "+441632960000",
        "+442079460000",
        "+80012345678",
        "+33112345678",  # Paris; 112 is also the emergency number
    ],
)
def test_ordinary_numbers_have_none(number: str) -> None:
    assert numbering_of(number).number_class is None


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+442079460000", "GB"),
        ("+447700900000", "GB"),
        ("+12125551234", "US"),
        ("+16135551234", "CA"),
        ("+18765551234", "JM"),
        ("+18760000000", "JM"),
        ("+1876555123499", "JM"),
        ("+79991234567", "RU"),
        ("+77011234567", "KZ"),
        ("+870773111222", None),
        ("+80012345678", None),
        ("+999123456", None),
    ],
)
def test_countries_that_share_a_code_are_told_apart(number: str, country: str | None) -> None:
    assert numbering_of(number).country == country


def test_validity_is_that_of_the_numbering_plan() -> None:
    assert numbering_of("+442079460000") == Numbering("GB", None, is_valid=True)
    for number in ("+12345678", "+447700900000", "+44207946000099", "+999123456"):
        assert not numbering_of(number).is_valid
