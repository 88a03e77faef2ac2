"""G.722 (ITU-T), the telephone network's wideband codec: 16 kHz samples, 64 kbit/s.

The encoder is pjmedia's; the decoder is written from the Recommendation (section 6), so that both pjmedia's
encoder and, by what this one makes of it, its decoder are judged by something else than themselves.
"""

from __future__ import annotations

import ctypes

import _pjsua2
import numpy as np

from tests.support.audio import Samples

PAYLOAD_TYPE = 9
RATE = 16_000
LEVEL = -18.0
"""dBFS of a tone."""
_STATE = 16_384
"""Octets that surely hold pjmedia's state of an encoder."""
_library = ctypes.CDLL(_pjsua2.__file__)

# Outputs of the inverse quantizers, by code: 6 and 4 bits of the lower band, 2 of the higher one.
_STEPS_6 = (
    *(24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000),
    *(5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136),
)
_STEPS_4 = (20456, 12896, 8968, 6288, 4240, 2584, 1200)
_QM6 = (*(-136,) * 4, *(-step for step in _STEPS_6[:28]), *_STEPS_6, -432, -136)
_QM4 = (0, *(-step for step in _STEPS_4), *_STEPS_4, 0)
_QM2 = (-7408, -1616, 7408, 1616)
_LOG_STEPS = (3042, 1198, 538, 334, 172, 58, -30)
_WL = (-60, *_LOG_STEPS, *_LOG_STEPS, -60)
"""What a code of the lower band adds to the logarithm of its step."""
_WH = (798, -214, 798, -214)
"""And one of the higher band."""
_ILB = tuple(int(2048 * 2 ** (i / 32) + 0.5) for i in range(32))
"""The inverse logarithm to base 2."""
_QMF = (3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11)


def tones(*frequencies: float) -> bytes:
    """One second of them at once, each at LEVEL."""
    time = np.arange(RATE) / RATE
    together = sum(
        32767 * 10 ** (LEVEL / 20) * np.sin(2 * np.pi * frequency * time) for frequency in frequencies
    )
    return encode(np.round(together).astype(np.int16))


def encode(samples: Samples) -> bytes:
    """One octet for each two samples."""
    state = ctypes.create_string_buffer(_STATE)
    _library.g722_enc_init(state)
    # ITU-T's own code takes 16 bits (G.191), pjmedia's 15.
    source = np.ascontiguousarray(samples >> 1, dtype=np.int16)
    result = ctypes.create_string_buffer(len(source))
    size = ctypes.c_size_t(len(source))
    status = _library.g722_enc_encode(
        state,
        source.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_size_t(len(source)),
        result,
        ctypes.byref(size),
    )
    assert status == 0
    return result.raw[: size.value]


def decode(octets: bytes) -> Samples:
    """As at 64 kbit/s: six bits of each octet are the lower band's, two the higher one's."""
    low, high = _Band(step=32, lowest=8, at_most=18432), _Band(step=8, lowest=10, at_most=22528)
    history = [0] * 24
    heard: list[int] = []
    for octet in octets:
        fine, coarse, above = octet & 63, (octet & 63) >> 2, octet >> 6
        lower = _clip(low.estimate + (low.step * _QM6[fine] >> 15), 14)
        low.adapt(low.step * _QM4[coarse] >> 15, _WL[coarse])
        difference = high.step * _QM2[above] >> 15
        higher = _clip(high.estimate + difference, 14)
        high.adapt(difference, _WH[above])
        history = [*history[2:], lower + higher, lower - higher]
        odd = sum(history[2 * i + 1] * _QMF[11 - i] for i in range(12))
        even = sum(history[2 * i] * _QMF[i] for i in range(12))
        heard += (_clip(odd >> 11), _clip(even >> 11))
    return np.array(heard, dtype=np.int16)


def _clip(value: int, bits: int = 15) -> int:
    return max(-(1 << bits), min((1 << bits) - 1, value))


class _Band:
    """The adaptive quantizer and predictor of a sub-band (blocks 3 and 4 of the Recommendation)."""

    def __init__(self, *, step: int, lowest: int, at_most: int) -> None:
        self.step = step
        self.estimate = 0
        """Of the next sample."""
        self._lowest, self._at_most = lowest, at_most
        self._log_step = 0
        self._zeros = 0
        """What the zeros contribute to the estimate."""
        self._poles = [0, 0]
        self._weights = [0] * 6
        self._differences = [0] * 6
        self._partial = [0, 0]
        self._outputs = [0, 0]

    def adapt(self, difference: int, weight: int) -> None:
        """To a sample, by its quantized `difference` from the estimate; `weight`: of its code."""
        self._log_step = min(max((self._log_step * 127 >> 7) + weight, 0), self._at_most)
        self._adapt_poles(_clip(self._zeros + difference))
        self._adapt_zeros(difference)
        self._outputs = [_clip(self.estimate + difference), self._outputs[0]]
        shift = self._lowest - (self._log_step >> 11)
        mantissa = _ILB[self._log_step >> 6 & 31]
        self.step = (mantissa << -shift if shift < 0 else mantissa >> shift) << 2
        poles = sum(pole * _clip(2 * out) >> 15 for pole, out in zip(self._poles, self._outputs, strict=True))
        pairs = zip(self._weights, self._differences, strict=True)
        self._zeros = _clip(sum(weight * _clip(2 * former) >> 15 for weight, former in pairs))
        self.estimate = _clip(_clip(poles) + self._zeros)

    def _adapt_poles(self, partial: int) -> None:
        same = [(partial < 0) == (former < 0) for former in self._partial]
        first, second = self._poles
        turned = _clip(4 * first)
        turned = min(-turned, 32767) if same[0] else turned
        second = (128 if same[1] else -128) + (turned >> 7) + (second * 32512 >> 15)
        second = max(-12288, min(12288, second))
        limit = _clip(15360 - second)
        first = _clip((192 if same[0] else -192) + (first * 32640 >> 15))
        self._poles = [max(-limit, min(limit, first)), second]
        self._partial = [partial, self._partial[0]]

    def _adapt_zeros(self, difference: int) -> None:
        gain = 128 if difference else 0
        self._weights = [
            _clip((gain if (former < 0) == (difference < 0) else -gain) + (weight * 32640 >> 15))
            for weight, former in zip(self._weights, self._differences, strict=True)
        ]
        self._differences = [difference, *self._differences[:-1]]
