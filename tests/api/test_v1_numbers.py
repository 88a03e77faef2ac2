"""Which number the older generation means by what it is given."""

from __future__ import annotations

import itertools
import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType, format_number

from api.errors import InvalidPhoneNumberError
from api.v1_numbers import to_e164, without_plus

E164 = re.compile(r"\+[1-9][0-9]{4,14}")
HOMES = [None, *sorted(phonenumbers.SUPPORTED_REGIONS)]


def examples() -> list[tuple[str, str]]:
    """Numbers of each country and kind, with the country."""
    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE)
    pairs = itertools.product(sorted(phonenumbers.SUPPORTED_REGIONS), kinds)
    made = ((country, phonenumbers.example_number_for_type(country, kind)) for country, kind in pairs)
    return [(country, format_number(one, PhoneNumberFormat.E164)) for country, one in made if one is not None]


@pytest.mark.parametrize(
    ("home", "written", "meant"),
    [
        # The specification's own.
        ("CN", "01052680000", "+861052680000"),
        ("CN", "8613912345673", "+8613912345673"),
        ("CN", "12345678", "+8612345678"),
        ("CN", "87654321", "+8687654321"),
        (None, "12345678", "+12345678"),
        (None, "8613912345673", "+8613912345673"),
        # Chinese mobile numbers have no trunk prefix, and this one looks like an American number.
        ("CN", "13912345673", "+8613912345673"),
        # The lab's.
        ("GB", "07700900002", "+447700900002"),
        ("GB", "447700900002", "+447700900002"),
        ("GB", "7700900002", "+447700900002"),
        ("GB", "00447700900002", "+447700900002"),
        ("GB", "+447700900002", "+447700900002"),
        ("GB", "441632960000", "+441632960000"),
        ("GB", "8613912345673", "+8613912345673"),
        ("GB", "12025550123", "+12025550123"),
        ("GB", "4930123456", "+4930123456"),
        ("GB", "390612345678", "+390612345678"),
        ("GB", "0123456", "+44123456"),
        ("DE", "4915123456789", "+4915123456789"),
        # Other countries' habits: a zero that stays, an 8, an 011, no trunk prefix at all.
        ("IT", "0612345678", "+390612345678"),
        ("RU", "89161234567", "+79161234567"),
        ("RU", "8613912345673", "+8613912345673"),
        ("US", "2025550123", "+12025550123"),
        ("US", "12025550123", "+12025550123"),
        ("US", "011442079460000", "+442079460000"),
        ("US", "442079460000", "+442079460000"),
        ("ES", "612345678", "+34612345678"),
        ("IN", "9123456789", "+919123456789"),
        ("IN", "919123456789", "+919123456789"),
    ],
)
def test_what_is_meant(home: str | None, written: str, meant: str) -> None:
    assert to_e164(written, home) == meant


@pytest.mark.parametrize("home", [None, "GB", "CN"])
@pytest.mark.parametrize(
    "written",
    [
        "",
        "+",
        "0",
        "00",
        "1",
        "00123",
        "abc",
        "+44 7700900002",
        "07700-900002",
        "0770090000x",
        "44\u0667\u0667",
        "4" * 18,
    ],
)
def test_no_number(home: str | None, written: str) -> None:
    with pytest.raises(InvalidPhoneNumberError):
        to_e164(written, home)


def test_a_national_number_needs_a_home_country() -> None:
    with pytest.raises(InvalidPhoneNumberError):
        to_e164("07700900002", None)


@pytest.mark.parametrize(("country", "number"), examples())
def test_each_country_s_number_is_understood_at_home_however_it_is_written(country: str, number: str) -> None:
    parsed = phonenumbers.parse(number)
    national = re.sub(r"\D", "", format_number(parsed, PhoneNumberFormat.NATIONAL))
    bare = phonenumbers.national_significant_number(parsed)
    for written in (number, without_plus(number), f"00{without_plus(number)}", national, bare):
        assert to_e164(written, country) == number, written


@given(st.sampled_from(HOMES), st.from_regex(E164, fullmatch=True))
def test_a_marked_international_number_means_the_same_everywhere(home: str | None, number: str) -> None:
    assert to_e164(number, home) == number
    assert to_e164(f"00{number[1:]}", home) == number


@given(st.from_regex(E164, fullmatch=True))
def test_what_is_written_back_means_the_same_without_a_home_country(number: str) -> None:
    assert to_e164(without_plus(number), None) == number


@given(
    st.sampled_from(HOMES),
    st.one_of(st.text(max_size=24), st.text("0123456789+", max_size=24), st.text("0123456789", max_size=16)),
)
@example("GB", "0" * 20)
def test_an_answer_is_a_number_and_always_the_same(home: str | None, written: str) -> None:
    try:
        number = to_e164(written, home)
    except InvalidPhoneNumberError:
        return
    assert E164.fullmatch(number)
    assert to_e164(written, home) == number
    digits = without_plus(number)
    assert digits.endswith(written.lstrip("+")[-3:]), "no digit at its end is changed"
