"""Which ringing tone a waiting caller hears."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import ConfigurationError, RingbackSettings
from config.settings import ToneSettings
from media.ringback_tones import RECOMMENDED, TONES, RingbackTone, check_ringback, tone_for

AUTO = RingbackSettings()
DOUBLE = (400, 200, 400, 2000)


@pytest.mark.parametrize("country", TONES)
def test_every_tone_is_a_ringing_tone(country: str) -> None:
    """Within what E.180 accepts or countries are known to have; the period includes the pause."""
    tone = TONES[country]
    assert country in phonenumbers.SUPPORTED_REGIONS
    assert len(tone.frequencies) in (1, 2)
    assert all(350 <= frequency <= 500 for frequency in tone.frequencies)
    assert len(tone.cadence) in (2, 4)
    assert all(200 <= time <= 6000 for time in tone.cadence)
    assert 3000 <= sum(tone.cadence) <= 11000
    pauses = tone.cadence[1::2]
    assert pauses[-1] == max(pauses), "the long pause ends the period"


def test_at_least_forty_countries_are_known() -> None:
    assert len(TONES) >= 40


@pytest.mark.parametrize(
    ("callee", "tone"),
    [
        ("+441632960000", RingbackTone((400, 450), DOUBLE)),
        ("+493023125000", RingbackTone((425,), (1000, 4000))),
        ("+33199000000", RingbackTone((440,), (1500, 3500))),
        ("+12025550123", RingbackTone((440, 480), (2000, 4000))),
        ("+14165550123", RingbackTone((440, 480), (2000, 4000))),
        ("+81312345678", RingbackTone((392, 408), (1000, 2000))),
        ("+85221234567", RingbackTone((440, 480), (400, 200, 400, 3000))),
        ("+27215551234", RingbackTone((383, 417), DOUBLE)),
    ],
)
def test_the_callees_number_chooses_the_country(callee: str, tone: RingbackTone) -> None:
    assert tone_for(AUTO, callee) == tone


@pytest.mark.parametrize(
    ("callee", "country"),
    [
        ("+12345678", "US"),  # too short to be anyone's
        ("+447700900001", "GB"),  # reserved for drama
        ("+18765550123", "US"),  # Jamaica
        ("+441534123456", "GB"),  # Jersey
        ("+61891641234", "AU"),  # Christmas Island
    ],
)
def test_whoever_shares_a_country_code_shares_the_tone(callee: str, country: str) -> None:
    assert tone_for(AUTO, callee) == TONES[country]


@pytest.mark.parametrize("callee", ["+3545551234", "+80012345678", "+8835100123456", "+99912345"])
def test_the_recommended_tone_stands_for_all_others(callee: str) -> None:
    """Iceland, an international freephone number, an international network, no country code at all."""
    assert tone_for(AUTO, callee) == RingbackTone((425,), (1000, 4000))


@given(st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True))
def test_every_number_has_a_tone(callee: str) -> None:
    assert tone_for(AUTO, callee) in {RECOMMENDED, *TONES.values()}


def test_a_fixed_country_holds_for_every_callee() -> None:
    assert tone_for(RingbackSettings(country="FR"), "+441632960000") == TONES["FR"]


def test_a_tone_of_ones_own_wins() -> None:
    own = ToneSettings(frequencies=(500,), cadence=(300, 700))
    settings = RingbackSettings(country="FR", tone=own)
    assert tone_for(settings, "+441632960000") == RingbackTone((500,), (300, 700))


@pytest.mark.parametrize("country", ["auto", *TONES])
def test_a_known_country_may_be_configured(country: str) -> None:
    check_ringback(RingbackSettings(country=country))


def test_an_unknown_country_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        check_ringback(RingbackSettings(country="UK"))
    message = str(refusal.value)
    assert message.startswith("ringback.country: ")
    assert all(part in message for part in ("'UK'", "GB", "'auto'", "ringback.tone"))


def test_an_unknown_country_does_not_matter_beside_a_tone_of_ones_own() -> None:
    own = ToneSettings(frequencies=(500,), cadence=(300, 700))
    check_ringback(RingbackSettings(country="XX", tone=own))
