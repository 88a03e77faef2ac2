"""A call whose caller has answered and waits, and whose callee has got the INVITE and said nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import Sdp
from tests.support.sip_trunk import Phone, SipTrunk

TONES = {"c": 1800.0, "e": 620.0, "r": 1400.0, "t": 1000.0}
"""Hz: the caller's voice, early media, ringback, talk of the callee."""
RINGBACK: dict[str, object] = {"tone": {"frequencies": [1400], "cadence": [500, 100]}}
SECOND = 50
"""Packets."""


@dataclass(frozen=True, slots=True)
class Waiting:
    product: Product
    call_id: str
    caller: Phone
    callee: Phone
    ear: RtpPeer
    """The caller's RTP."""

    def connect(self, mouth: RtpPeer, *, sdp: Sdp | None = None, tag: str | None = None) -> float:
        """The callee answers with `mouth` (and `sdp`); when (time.monotonic) the caller heard so."""
        mouth.remote = self.callee.offer.address
        self.callee.answer(sdp=sdp or Sdp(mouth.port), tag=tag)
        self.product.wait_status(self.call_id, "connected")
        return self.ear.wait_for_more_audio(packets=1)


@contextmanager
def waiting_caller(
    product: Product,
    trunk: SipTrunk,
    ear: RtpPeer,
    *,
    callee: str | None = None,
    recording: bool = False,
) -> Iterator[Waiting]:
    """Ended by DELETE at last, if it goes on."""
    numbers = fresh_number(), callee or fresh_number()
    call_id = product.create(*numbers, recording=recording)
    try:
        caller = trunk.ringing_at(numbers[0])
        ear.remote = caller.offer.address
        caller.answer(ear.port)
        yield Waiting(product, call_id, caller, trunk.ringing_at(numbers[1]), ear)
    finally:
        product.delete(call_id)
