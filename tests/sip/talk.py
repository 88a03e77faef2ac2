"""A connected call whose two phones, and whose RTP, are in the test's hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from state.call import Call
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.sdp import PCMA, PCMU, Format, Sdp, telephone_event
from tests.support.sip_trunk import Phone, SipTrunk

PLAIN = Sdp(0, (PCMU, telephone_event()))
"""What a phone answers unless the test says otherwise, with the port of its RTP."""
TWO_CODECS = Sdp(0, (PCMU, PCMA, telephone_event()))
"""An answer from which one must be chosen: so an offer of ours follows at once."""


Answer = Sdp | Callable[[Sdp], Sdp]
"""Or what to make of the offer."""


def only(codec: str, *also: str, ptime: int | None = 20) -> Answer:
    """An answer with these formats as they were offered: what comes back to us must be named as we named it
    (RFC 3264, section 5.1)."""

    def answer(offer: Sdp) -> Sdp:
        return Sdp(0, tuple(offered(offer, name) for name in (codec, *also)), ptime=ptime)

    return answer


def offered(offer: Sdp, name: str) -> Format:
    """`name`: an encoding, with a clock rate where that decides."""
    encoding, _, rate = name.partition("/")
    return next(
        f for f in offer.formats if f.encoding.lower() == encoding.lower() and rate in ("", str(f.clock_rate))
    )


class HasPort(Protocol):
    port: int


@dataclass(frozen=True, slots=True)
class Talk:
    product: Product
    call_id: str
    caller: Phone
    callee: Phone

    def phone(self, leg: str) -> Phone:
        return self.caller if leg == "caller" else self.callee

    def end(self) -> Call:
        """By DELETE; the record of the ended call."""
        assert self.product.delete(self.call_id) == 204
        return self.product.call(self.call_id)


@contextmanager
def talking(
    product: Product,
    trunk: SipTrunk,
    caller: HasPort,
    callee: HasPort,
    *,
    caller_sdp: Answer = PLAIN,
    callee_sdp: Answer = PLAIN,
    caller_headers: Sequence[str] = (),
    callee_headers: Sequence[str] = (),
    answers_reinvite: bool = True,
    recording: bool = False,
) -> Iterator[Talk]:
    """Both phones answer, with the ports of `caller` and `callee` for their RTP. It is ended at last."""
    numbers = fresh_number(), fresh_number()
    call_id = product.create(*numbers, recording=recording)
    answers = zip((caller, callee), (caller_sdp, callee_sdp), (caller_headers, callee_headers), strict=True)
    phones = []
    for number, (rtp, sdp, headers) in zip(numbers, answers, strict=True):
        phone = trunk.ringing_at(number)
        phone.answers_reinvite = answers_reinvite
        answer = sdp if isinstance(sdp, Sdp) else sdp(phone.offer)
        phone.answer(sdp=replace(answer, port=rtp.port), headers=headers)
        phones.append(phone)
    try:
        product.wait_status(call_id, "connected")
        yield Talk(product, call_id, *phones)
    finally:
        product.delete(call_id)
