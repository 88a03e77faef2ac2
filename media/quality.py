"""How good a leg's audio was: the E-model of ITU-T G.107 (narrowband) and G.107.1 (wideband).

What cannot be measured at a bridge (loudness, room noise, the echo of the phones) has the recommendations'
default value. Both models are for planning: they estimate the opinion of an average listener, they do not
listen. A wideband score is the opinion of people used to wideband: it does not compare with a narrowband one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodecImpairment:
    """What a codec takes from the rating, without loss and under it (ITU-T G.113)."""

    ie: float
    """Equipment impairment factor: points of the rating, without loss."""
    bpl: float
    """Packet-loss robustness factor, in percent of loss: the higher, the better the codec conceals."""
    wideband: bool = False


# G.113 (11/2007), Appendix I, for narrowband: with packet loss concealment, as pjmedia has it.
_G711 = CodecImpairment(ie=0, bpl=25.1)
_G729A = CodecImpairment(ie=11, bpl=19.0)
_GSM_EFR = CodecImpairment(ie=5, bpl=10.0)

CODECS = {
    "PCMU": _G711,
    "PCMA": _G711,
    "G729": _G729A,
    # G.113 has no AMR; its mode of 12.2 kbit/s is the enhanced full rate codec (3GPP TS 26.071).
    "AMR": _GSM_EFR,
    # Full rate: G.113 gives Ie but no Bpl; we assume that of the enhanced codec.
    "GSM": CodecImpairment(ie=20, bpl=_GSM_EFR.bpl),
    # G.113, Appendix IV, at 64 kbit/s. It has a Bpl only for AMR-WB, 4.3 to 4.9: we assume the lower end.
    "G722": CodecImpairment(ie=13, bpl=4.3, wideband=True),
    # ITU-T has nothing for Opus. From M. Alahmadi, Opus Codec Quality Evaluation (2021): wideband, 13 kbit/s,
    # the highest rate measured there; phones mostly send more, so the truth is rather better.
    "OPUS": CodecImpairment(ie=20.0, bpl=19.5, wideband=True),
}
"""By the encoding name of SDP (RFC 4855) in capitals."""

# Default values of G.107, table 3, or what its section 7 makes of them.
_RO = 94.77
"""Basic signal-to-noise ratio; also Roe of section 7.4."""
_IS = 1.41
"""Impairments that come with the voice."""
_TELR = 65.0
"""Talker echo loudness rating, dB."""
_WEPL = 110.0
"""Weighted echo path loss, dB."""
_MINIMUM_PERCEIVABLE_DELAY = 100.0
"""mT, milliseconds."""

_WIDEBAND_TOP = 129.0
"""Ro of G.107.1: a wideband call without any impairment."""
_WIDEBAND_STRETCH = 1.29
"""How much longer than the narrowband one the wideband scale is."""


def mos(codec: str, *, loss: float, one_way_delay_ms: float, burst_ratio: float = 1.0) -> float:
    """Estimated mean opinion score of a listener to a leg, 1 to 4.5; G.107 Annex B, G.107.1 Annex A.

    `codec` is the encoding name as in SDP, in either case; `loss` the fraction (0 to 1) of packets that were
    not played: lost, or discarded by the jitter buffer; `one_way_delay_ms` from mouth to ear; `burst_ratio` 1
    for random loss, more for bursts (G.107, section 7.5). Raises LookupError for a codec not in `CODECS`.
    """
    value = rating(codec, loss=loss, one_way_delay_ms=one_way_delay_ms, burst_ratio=burst_ratio)
    return mos_of_rating(value / _WIDEBAND_STRETCH if CODECS[codec.upper()].wideband else value)


def rating(codec: str, *, loss: float, one_way_delay_ms: float, burst_ratio: float = 1.0) -> float:
    """The transmission rating factor R: at most 93.2, for wideband codecs 129; it can fall below 0.

    Arguments and errors as for `mos`.
    """
    impairment = CODECS.get(codec.upper())
    if impairment is None:
        raise LookupError(f"no equipment impairment is known for the codec {codec}")
    # RFC 3550 counts packets that came twice against the lost ones, so its loss can be negative.
    percent = 100 * min(max(loss, 0.0), 1.0)
    effective = impairment.ie + (95 - impairment.ie) * percent / (percent / burst_ratio + impairment.bpl)
    delay = max(one_way_delay_ms, 0.0)
    if impairment.wideband:
        # The echo terms are left out: with G.107.1's default echo they are worth a point or so, and its
        # editions (06/2019, corrigendum 01/2020) differ in them.
        return _WIDEBAND_TOP - _WIDEBAND_STRETCH * _absolute_delay(delay) - effective
    return _RO - _IS - (_talker_echo(delay) + _listener_echo(delay) + _absolute_delay(delay)) - effective


def mos_of_rating(value: float) -> float:
    """The mean opinion score for a rating of G.107's scale (Annex B)."""
    if value >= 100:
        return 4.5
    # Below 6.5 the polynomial falls under 1 before it comes back to it at 0.
    return max(1.0, 1 + 0.035 * value + value * (value - 60) * (100 - value) * 7e-6) if value > 0 else 1.0


def one_way_delay(round_trip_ms: float | None, jitter_buffer_ms: float, frame_ms: float) -> float:
    """Milliseconds from the party's mouth to our bridge, as far as we can know.

    Half of the round trip (RTCP; nothing if it is unknown), what waits in our jitter buffer, and the audio
    of one packet, `frame_ms`, which the sender has to collect first (G.114, Annex A).
    """
    return (round_trip_ms or 0.0) / 2 + jitter_buffer_ms + frame_ms


def _talker_echo(delay: float) -> float:
    """Idte of G.107, section 7.4: one hears oneself, as late as the round trip."""
    if delay < 1:  # a sidetone rather than an echo
        return 0.0
    terv = _TELR - 40 * math.log10((1 + delay / 10) / (1 + delay / 150)) + 6 * math.exp(-0.3 * delay**2)
    difference = (_RO - (80 + 2.5 * (terv - 14))) / 2
    idte = (difference + math.sqrt(difference**2 + 100) - 1) * (1 - math.exp(-delay))
    # For some milliseconds of delay the formula goes a little below 0; but no echo makes a call better.
    return max(0.0, idte)


def _listener_echo(delay: float) -> float:
    """Idle of G.107, section 7.4: one hears the other twice, a round trip apart."""
    rle = 10.5 * (_WEPL + 7) * math.pow(2 * delay + 1, -0.25)
    difference = (_RO - rle) / 2
    return difference + math.sqrt(difference**2 + 169)


def _absolute_delay(delay: float) -> float:
    """Idd of G.107, section 7.4: even without echo people get in each other's way; sT = 1."""
    if delay <= _MINIMUM_PERCEIVABLE_DELAY:
        return 0.0
    x = math.log2(delay / _MINIMUM_PERCEIVABLE_DELAY)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)
