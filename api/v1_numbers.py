"""Numbers as the older generation writes them: without `+`, national or international."""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers import (
    CountryCodeSource,
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    ValidationResult,
    country_code_for_region,
    format_number,
    ndd_prefix_for_region,
)

from api.errors import InvalidPhoneNumberError

PATTERN = r"^\+?[0-9]{1,20}$"

_WRITTEN = re.compile(r"\+?[0-9]{1,20}", re.ASCII)
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")


def to_e164(written: str, home_country: str | None) -> str:
    """The number that is meant, by the first rule that applies:

    1. after `+` or `00` it is international, and without a home country always;
    2. international, if it begins with the home country's calling code and the rest fits there;
    3. libphonenumber's reading at home, if it begins with 0, or with the home country's international prefix,
       or fits there (with or without the trunk prefix);
    4. international, if it begins with a calling code and the rest may be so long there;
    5. libphonenumber's reading at home.

    "Fits" is a matter of length and first digits. Whether a number is assigned does not count: of the
    specifications' examples hardly one is. Raises InvalidPhoneNumberError.
    """
    if _WRITTEN.fullmatch(written) is None:
        raise InvalidPhoneNumberError
    if written.startswith(("+", "00")) or home_country is None:
        number = "+" + written.removeprefix("+" if written.startswith("+") else "00")
    else:
        number = _read_at(home_country, written)
    if _E164.fullmatch(number) is None:
        raise InvalidPhoneNumberError
    return number


def without_plus(number: str) -> str:
    """An E.164 number as this generation writes it."""
    return number.removeprefix("+")


def _read_at(home: str, written: str) -> str:
    abroad = _international(written)
    if abroad is not None and abroad.country_code == country_code_for_region(home) and _fits(abroad, home):
        return format_number(abroad, PhoneNumberFormat.E164)
    try:
        number = phonenumbers.parse(written, home, keep_raw_input=True)
    except NumberParseException as error:
        raise InvalidPhoneNumberError from error
    is_national = number.country_code_source == CountryCodeSource.FROM_DEFAULT_COUNTRY
    if is_national and abroad is not None and not written.startswith("0") and not _fits(number, home):
        number = abroad
    elif is_national and ndd_prefix_for_region(home, True):
        # A trunk prefix before what does not fit is left by the library, as if it were Italy's zero.
        number.italian_leading_zero = None
    return format_number(number, PhoneNumberFormat.E164)


def _fits(number: PhoneNumber, country: str) -> bool:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    numbers = None if metadata is None else metadata.general_desc
    if numbers is None or numbers.national_number_pattern is None:
        return False
    national = phonenumbers.national_significant_number(number)
    return _is_possible(number) and re.fullmatch(numbers.national_number_pattern, national) is not None


def _international(written: str) -> PhoneNumber | None:
    """None if it begins with no calling code, or cannot be so long there."""
    try:
        number = phonenumbers.parse(f"+{written}")
    except NumberParseException:
        return None
    return number if _is_possible(number) else None


def _is_possible(number: PhoneNumber) -> bool:
    """By its length, with the area code."""
    return phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE
