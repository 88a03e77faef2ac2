"""What is in RTP payloads, by the codecs' libraries and the RFCs of their formats: nothing of pjmedia's."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.sip import g722
from tests.support.audio import RATE, Samples, alaw_decode, mulaw_decode
from tests.support.rtp import Packet, signed

Payloads = Sequence[bytes]
"""Of one stream, in the order in which they were sent."""
CLOCK_RATES = {"opus": 48_000}
"""RTP timestamp units per second, where they are not 8000 (RFC 7587, section 4.1)."""
GSM_FRAME, G729_FRAME = 33, 10
"""Octets, of 20 and 10 ms (RFC 3551, sections 4.5.8.1 and 4.5.6)."""
AMR_BITS = (95, 103, 118, 134, 148, 159, 204, 244)
"""Of a frame of 20 ms, by mode: 4.75 to 12.2 kbit/s (3GPP TS 26.101, table 2)."""
NO_MODE_REQUEST = 15
"""In the first four bits of an AMR payload (RFC 4867, section 4.3.1)."""
_SILK, _HYBRID, _CELT = (10, 20, 40, 60), (10, 20), (2.5, 5, 10, 20)
_OPUS_FRAMES = _SILK * 3 + _HYBRID * 2 + _CELT * 4
"""Milliseconds of a frame, by the configuration number of a packet (RFC 6716, table 2)."""


def in_order(packets: Sequence[Packet]) -> list[Packet]:
    """Each once, as they were sent."""
    unique = {p.sequence: p for p in packets}.values()
    return sorted(unique, key=lambda p: signed(p.sequence - packets[0].sequence, 16))


def decode(codec: str, payloads: Payloads) -> Samples:
    """At 8000 samples a second. Raises AssertionError where a payload is not as its RFC says."""
    return DECODERS[codec](payloads)


def milliseconds(codec: str, payload: bytes) -> float:
    """How much audio a payload holds."""
    if codec == "opus":
        return opus_milliseconds(payload)
    if codec == "AMR":
        return 20 * len(amr_frames(payload, octet_aligned=False))
    frame, duration = {"G729": (G729_FRAME, 10), "GSM": (GSM_FRAME, 20)}.get(codec, (RATE // 1000, 1))
    assert len(payload) % frame == 0
    return len(payload) // frame * duration


def opus_milliseconds(payload: bytes) -> float:
    """RFC 6716, section 3.1: the first octet says how long a frame is, and how many there are."""
    frames = (1, 2, 2, payload[1] & 63 if payload[0] & 3 == 3 else 0)[payload[0] & 3]
    return frames * _OPUS_FRAMES[payload[0] >> 3]


def amr_frames(payload: bytes, *, octet_aligned: bool) -> list[bytes]:
    """The frames of an AMR payload as a file holds them: a table of contents entry before each.

    RFC 4867, sections 4.3 (bandwidth-efficient), 4.4 (octet-aligned) and 5.3 (files).
    """
    bits = "".join(f"{octet:08b}" for octet in payload)
    position = 0

    def take(count: int) -> str:
        nonlocal position
        taken = bits[position : position + count]
        assert len(taken) == count, "an AMR payload that ends before its last frame"
        position += count
        if octet_aligned:
            rest = -count % 8
            assert "1" not in bits[position : position + rest]
            position += rest
        return taken

    assert int(take(4), 2) == NO_MODE_REQUEST
    modes = []
    follows = True
    while follows:
        entry = take(6)
        follows = entry[0] == "1"
        assert entry[5] == "1", "a damaged frame"
        modes.append(int(entry[1:5], 2))
    frames = []
    for mode in modes:
        speech = take(AMR_BITS[mode])
        padded = speech + "0" * (-len(speech) % 8)
        frames.append(bytes([mode << 3 | 4]) + int(padded, 2).to_bytes(len(padded) // 8))
    assert len(bits) - position < 8
    assert "1" not in bits[position:]
    return frames


def amr(payloads: Payloads, *, octet_aligned: bool = False) -> Samples:
    library = ctypes.CDLL("libopencore-amrnb.so.0")
    decoder = _open(library.Decoder_Interface_init)
    heard = _Samples(160)
    for payload in payloads:
        for frame in amr_frames(payload, octet_aligned=octet_aligned):
            library.Decoder_Interface_Decode(decoder, frame, heard.buffer, 0)
            heard.take()
    library.Decoder_Interface_exit(decoder)
    return heard.all()


def gsm(payloads: Payloads) -> Samples:
    library = ctypes.CDLL("libgsm.so.1")
    decoder = _open(library.gsm_create)
    heard = _Samples(160)
    for frame in _frames(payloads, GSM_FRAME):
        assert frame[0] >> 4 == 0xD, "the signature (RFC 3551, section 4.5.8.1)"
        assert library.gsm_decode(decoder, frame, heard.buffer) == 0
        heard.take()
    library.gsm_destroy(decoder)
    return heard.all()


def g729(payloads: Payloads) -> Samples:
    library = ctypes.CDLL("libbcg729.so.0")
    decoder = _open(library.initBcg729DecoderChannel)
    heard = _Samples(80)
    lost = silence = comfort_noise = 0
    for frame in _frames(payloads, G729_FRAME):
        library.bcg729Decoder(decoder, frame, len(frame), lost, silence, comfort_noise, heard.buffer)
        heard.take()
    library.closeBcg729DecoderChannel(decoder)
    return heard.all()


def opus(payloads: Payloads) -> Samples:
    library = ctypes.CDLL("libopus.so.0")
    error = ctypes.c_int()
    decoder = _open(library.opus_decoder_create, RATE, 1, ctypes.byref(error))
    heard = _Samples(RATE * 120 // 1000)
    for payload in payloads:
        count = library.opus_decode(decoder, payload, len(payload), heard.buffer, len(heard.buffer), 0)
        assert count == round(opus_milliseconds(payload) * RATE / 1000)
        heard.take(count)
    library.opus_decoder_destroy(decoder)
    return heard.all()


def _g722(payloads: Payloads) -> Samples:
    """What is above 4 kHz folds down: not for wideband audio."""
    return g722.decode(b"".join(payloads))[:: g722.RATE // RATE]


DECODERS: dict[str, Callable[[Payloads], Samples]] = {
    "PCMU": lambda payloads: mulaw_decode(b"".join(payloads)),
    "PCMA": lambda payloads: alaw_decode(b"".join(payloads)),
    "G722": _g722,
    "opus": opus,
    "G729": g729,
    "AMR": amr,
    "GSM": gsm,
}


class _Samples:
    """What a decoder has written into its buffer, one frame after the other."""

    def __init__(self, size: int) -> None:
        self.buffer = (ctypes.c_int16 * size)()
        self._frames: list[Samples] = []

    def take(self, count: int | None = None) -> None:
        self._frames.append(np.array(self.buffer[:count], dtype=np.int16))

    def all(self) -> Samples:
        return np.concatenate(self._frames)


def _open(function: Any, *arguments: Any) -> ctypes.c_void_p:
    """What a library's constructor returns."""
    function.restype = ctypes.c_void_p
    return ctypes.c_void_p(function(*arguments))


def _frames(payloads: Payloads, size: int) -> list[bytes]:
    octets = b"".join(payloads)
    assert len(octets) % size == 0
    return [octets[at : at + size] for at in range(0, len(octets), size)]
