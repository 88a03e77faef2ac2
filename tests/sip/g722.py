"""G.722 (ITU-T), the telephone network's wideband codec: 16 kHz samples, 64 kbit/s. Borrowed from pjmedia."""

from __future__ import annotations

import ctypes

import _pjsua2
import numpy as np

from tests.support.audio import Samples

PAYLOAD_TYPE = 9
RATE = 16_000
_STATE = 16_384
"""Octets that surely hold pjmedia's state of an encoder or decoder."""
_library = ctypes.CDLL(_pjsua2.__file__)


def encode(samples: Samples) -> bytes:
    """One octet for each two samples."""
    state = ctypes.create_string_buffer(_STATE)
    _library.g722_enc_init(state)
    source = np.ascontiguousarray(samples, dtype=np.int16)
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
    state = ctypes.create_string_buffer(_STATE)
    _library.g722_dec_init(state)
    result = np.zeros(2 * len(octets), dtype=np.int16)
    size = ctypes.c_size_t(result.nbytes)
    status = _library.g722_dec_decode(
        state,
        octets,
        ctypes.c_size_t(len(octets)),
        result.ctypes.data_as(ctypes.c_void_p),
        ctypes.byref(size),
    )
    assert status == 0
    return result[: size.value]
