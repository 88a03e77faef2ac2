"""The ringing tone of each country, for a caller who waits: ITU-T E.180 and its supplement 2.

The values are the supplement's or, where a country has published its own since (BT SIN 350, AS/ACIF S002,
IDA TS PSTN1), those. A caller who hears an unknown tone may take it for engaged, and hang up.
"""

from __future__ import annotations

from dataclasses import dataclass

import phonenumbers

from config import ConfigurationError, RingbackSettings

AUTO = "auto"
"""`ringback.country`: by the callee's number."""


@dataclass(frozen=True, slots=True)
class RingbackTone:
    frequencies: tuple[int, ...]
    """Hz, one or two; they sound together."""
    cadence: tuple[int, ...]
    """On, off, on, off ... in milliseconds, over and over."""


RECOMMENDED = RingbackTone((425,), (1000, 4000))
"""What E.180 recommends, and most of the world has."""

_DOUBLE = (400, 200, 400, 2000)

# Some tones are modulated, 400 Hz by 25 Hz for example. Two frequencies around the carrier, as far apart as
# the modulating one, beat at its pace: South Africa has 400 Hz by 33 Hz and also 383+417 Hz.
TONES: dict[str, RingbackTone] = {
    "AE": RingbackTone((400, 450), _DOUBLE),
    "AR": RingbackTone((425,), (1000, 4500)),
    "AT": RingbackTone((420,), (1000, 5000)),
    "AU": RingbackTone((413, 438), _DOUBLE),
    "BE": RingbackTone((425,), (1000, 3000)),
    "BG": RECOMMENDED,
    "BR": RECOMMENDED,
    "CA": RingbackTone((440, 480), (2000, 4000)),
    "CH": RECOMMENDED,
    "CL": RingbackTone((400,), (1000, 3000)),
    "CN": RingbackTone((450,), (1000, 4000)),
    "CO": RingbackTone((425,), (1000, 4500)),
    "CR": RingbackTone((450,), (1200, 4900)),
    "CY": RingbackTone((425,), (1500, 3000)),
    "CZ": RECOMMENDED,
    "DE": RECOMMENDED,
    "DK": RECOMMENDED,
    "EE": RECOMMENDED,
    "EG": RingbackTone((400, 450), (2000, 1000)),  # 425 by 50
    "ES": RingbackTone((425,), (1500, 3000)),
    "FI": RECOMMENDED,
    "FR": RingbackTone((440,), (1500, 3500)),
    "GB": RingbackTone((400, 450), _DOUBLE),
    "GR": RECOMMENDED,
    "HK": RingbackTone((440, 480), (400, 200, 400, 3000)),
    "HR": RECOMMENDED,
    "HU": RingbackTone((425,), (1250, 3750)),
    "ID": RECOMMENDED,
    "IE": RingbackTone((400, 450), _DOUBLE),
    "IL": RingbackTone((400,), (1000, 3000)),
    "IN": RingbackTone((387, 412), _DOUBLE),  # 400 by 25
    "IR": RECOMMENDED,
    "IT": RECOMMENDED,
    "JP": RingbackTone((392, 408), (1000, 2000)),  # 400 by 16
    "KE": RingbackTone((425,), (670, 3000, 1500, 5000)),
    "KR": RingbackTone((440, 480), (1000, 2000)),
    "LT": RECOMMENDED,
    "LU": RECOMMENDED,
    "LV": RECOMMENDED,
    "MO": RECOMMENDED,
    "MX": RECOMMENDED,
    "MY": RingbackTone((425,), _DOUBLE),
    "NL": RECOMMENDED,
    "NO": RECOMMENDED,
    "NZ": RingbackTone((400, 450), _DOUBLE),
    "PA": RingbackTone((425,), (1200, 4650)),
    "PH": RingbackTone((425, 480), (1000, 4000)),
    "PK": RingbackTone((400,), (1000, 2000)),
    "PL": RECOMMENDED,
    "PT": RingbackTone((425,), (1000, 5000)),
    "RO": RingbackTone((438, 463), (1850, 4150)),  # 450 by 25
    "RS": RECOMMENDED,
    "RU": RECOMMENDED,
    "SA": RingbackTone((425,), (1200, 4600)),
    "SE": RingbackTone((425,), (1000, 5000)),
    "SG": RingbackTone((413, 437), _DOUBLE),  # 425 by 24
    "SI": RECOMMENDED,
    "SK": RECOMMENDED,
    "TH": RingbackTone((400,), (1000, 4000)),
    "TR": RingbackTone((450,), (2000, 4000)),
    "TW": RingbackTone((440, 480), (1000, 2000)),
    "US": RingbackTone((440, 480), (2000, 4000)),
    "VE": RECOMMENDED,
    "ZA": RingbackTone((383, 417), _DOUBLE),  # 400 by 33
}
"""By ISO 3166 code."""


def tone_for(settings: RingbackSettings, callee: str) -> RingbackTone:
    """The tone for a caller who waits for `callee` (E.164, with "+"): the configured one, else the country's.

    `check_ringback` has passed `settings`.
    """
    if settings.tone is not None:
        return RingbackTone(settings.tone.frequencies, settings.tone.cadence)
    country = settings.country if settings.country != AUTO else _country_of(callee)
    return TONES.get(country, RECOMMENDED)


def check_ringback(settings: RingbackSettings) -> None:
    """Raises ConfigurationError for a fixed country whose tone we do not know."""
    if settings.tone is None and settings.country not in (AUTO, *TONES):
        raise ConfigurationError(
            f"ringback.country: no ringing tone is known for {settings.country!r}; "
            f"take one of {', '.join(TONES)}, or {AUTO!r}, or write your own as ringback.tone"
        )


def _country_of(number: str) -> str:
    """The ISO code of a number's country code; where several countries share one, of the largest.

    They share the tone as well: North America, Russia and Kazakhstan, Britain and its islands. So the number
    need not be one that its country has assigned. "ZZ" for a code of no country, "001" for that of a network.
    """
    try:
        code = phonenumbers.parse(number).country_code
    except phonenumbers.NumberParseException:
        code = None
    return phonenumbers.region_code_for_country_code(code or 0)
