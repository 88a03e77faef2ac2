"""Calls whose parties talk without a pause, one at 440 Hz and one at 1000 Hz, so that a disturbance is heard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from tests.end_to_end.product import Product
from tests.sip.heard import FRAME, heard
from tests.sip.talk import Talk, talking
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import Phone, SipTrunk

TONES = {"caller": 440.0, "callee": 1000.0}
LONGEST_GAP = 0.5
"""Seconds without the other party's tone, however busy the machine is."""
HEARD_SHARE = 0.9
"""Of the time in which the other party's tone must be heard, and nothing else."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What one party heard of the other; times in seconds."""

    party: str
    length: float
    share: float
    """Of `length`, with the other's tone and nothing else."""
    gap: float
    """The longest time without it."""
    strange: float
    """The longest time with anything else but silence."""
    sent_gap: float
    """The longest that the engine sent no RTP for: in its timestamps, so whatever the machine was busy with."""


@dataclass(frozen=True, slots=True)
class WatchedCall:
    talk: Talk
    ears: dict[str, RtpPeer]
    since: float

    @property
    def phones(self) -> tuple[Phone, Phone]:
        return self.talk.caller, self.talk.callee

    def hearings(self) -> list[Hearing]:
        """Since the watch began."""
        return [self._hearing(party) for party in TONES]

    def faults(self) -> list[str]:
        """Why this call cannot be called undisturbed."""
        found = [str(h) for h in self.hearings() if h.gap > LONGEST_GAP or h.share < HEARD_SHARE or h.sent_gap > 0]
        found += [f"{phone.number}: BYE" for phone in self.phones if self._was_ended(phone)]
        if self.talk.product.status(self.talk.call_id) != "connected":
            found.append(f"{self.talk.call_id}: {self.talk.product.status(self.talk.call_id)}")
        return found

    def wait_to_be_heard(self, seconds: float) -> None:
        """Until each party has heard so much from now on."""
        for peer in self.ears.values():
            peer.wait_for_more_audio(packets=round(seconds / FRAME), timeout=seconds + 20)

    def _hearing(self, party: str) -> Hearing:
        peer = self.ears[party]
        letter = "caller" if party == "callee" else "callee"
        line = heard(peer.samples(since=self.since), o=TONES[letter], s=TONES[party])
        return Hearing(
            party,
            length=len(line) * FRAME,
            share=line.count("o") / max(len(line), 1),
            gap=_longest("[^o]", line),
            strange=_longest("[^o.]", line),
            sent_gap=peer.longest_timestamp_gap(since=self.since),
        )

    def _was_ended(self, phone: Phone) -> bool:
        return any(bye.tag("To") == phone.tag for bye in phone.received("BYE"))


def _longest(pattern: str, line: str) -> float:
    return max((len(run) for run in re.findall(f"{pattern}+", line)), default=0) * FRAME


@contextmanager
def watched_call(product: Product, trunk: SipTrunk) -> Iterator[WatchedCall]:
    """Connected, and both have heard each other for half a second."""
    with RtpPeer(TONES["caller"]) as caller, RtpPeer(TONES["callee"]) as callee:
        with talking(product, trunk, caller, callee) as talk:
            ears = {"caller": caller, "callee": callee}
            WatchedCall(talk, ears, 0.0).wait_to_be_heard(0.5)
            yield WatchedCall(talk, ears, monotonic())
