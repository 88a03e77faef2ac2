"""What the numbering plans (libphonenumber) say of a number: its country and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberType, ShortNumberCost

from config import NumberClass

_BY_TYPE = {
    PhoneNumberType.PREMIUM_RATE: NumberClass.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST: NumberClass.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER: NumberClass.PERSONAL,
    PhoneNumberType.UAN: NumberClass.UNIVERSAL_ACCESS,
}

_BY_COUNTRY_CODE = {
    808: NumberClass.SHARED_COST,
    870: NumberClass.SATELLITE,
    878: NumberClass.PERSONAL,
    881: NumberClass.SATELLITE,
    882: NumberClass.INTERNATIONAL_NETWORK,
    883: NumberClass.INTERNATIONAL_NETWORK,
    888: NumberClass.INTERNATIONAL_NETWORK,
    979: NumberClass.PREMIUM_RATE,
}
"""ITU-T E.164, list of assigned country codes: of services and networks, all but +800, which is free."""

_NO_COUNTRY = "001"


@dataclass(frozen=True, slots=True)
class Numbering:
    country: str | None = None
    """ISO 3166-1 alpha-2; None: it belongs to no country."""
    number_class: NumberClass | None = None
    """None: a call to it costs what calls cost."""
    is_valid: bool = False
    """Whether it is one of its country's numbering plan."""


def numbering_of(number: str) -> Numbering:
    """Of a number on the E.164 pattern; it need not be one that is assigned, or could be."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return Numbering(number_class=NumberClass.UNASSIGNED)
    is_valid = phonenumbers.is_valid_number(parsed)
    # Networks ignore digits that are too many: such a number is the one that would be reached.
    phonenumbers.truncate_too_long_number(parsed)
    country = _country_of(parsed)
    return Numbering(country, _class_of(parsed), is_valid)


def _country_of(number: phonenumbers.PhoneNumber) -> str | None:
    """Where several countries share a code and none has assigned the number: the largest of them."""
    country = phonenumbers.region_code_for_number(number)
    if country is None:
        country = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return None if country == _NO_COUNTRY else country


def _class_of(number: phonenumbers.PhoneNumber) -> NumberClass | None:
    by_code = _BY_COUNTRY_CODE.get(number.country_code or 0)
    if by_code is not None:
        return by_code
    if phonenumbers.is_valid_number(number):
        return _BY_TYPE.get(phonenumbers.number_type(number))
    # Switches that take the country code away dial what is left: +44 999 may ring at the police.
    national = phonenumbers.national_significant_number(number)
    home = phonenumbers.region_code_for_country_code(number.country_code or 0)
    if phonenumbers.connects_to_emergency_number(national, home):
        return NumberClass.EMERGENCY
    if phonenumbers.expected_cost(number) == ShortNumberCost.PREMIUM_RATE:
        return NumberClass.PREMIUM_RATE
    return None
