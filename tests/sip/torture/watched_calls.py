"""Calls whose parties talk without a pause, at 440 Hz and at 1000 Hz, so that a disturbance is heard."""

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
HEARD_SHARE = 0.95
"""Of the time, in which the other party's tone must be heard and nothing else."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What one party heard of the other; times in seconds."""

    party: str
    watched: float
    heard: float
    """With the other's tone and nothing else."""
    gap: float
    """The longest without it."""
    strange: float
    """The longest with anything else but silence."""

    @property
    def is_fine(self) -> bool:
        # The first and the last packets of the watch are on their way while it begins and ends.
        return self.gap <= LONGEST_GAP and self.heard >= HEARD_SHARE * self.watched - LONGEST_GAP

    def __str__(self) -> str:
        return (
            f"the {self.party} heard the other {self.heard:.2f} of {self.watched:.2f} s; "
            f"longest gap {self.gap:.2f} s, longest anything else {self.strange:.2f} s"
        )


@dataclass(slots=True)
class WatchedCall:
    talk: Talk
    ears: dict[str, RtpPeer]
    """By party: the RTP of its phone."""
    since: float

    @property
    def phones(self) -> tuple[Phone, Phone]:
        return self.talk.caller, self.talk.callee

    def watch(self) -> None:
        """Anew from now on."""
        self.since = monotonic()

    def hearings(self) -> list[Hearing]:
        """Since the watch began."""
        return [self._hearing(party) for party in TONES]

    def faults(self) -> list[str]:
        """Why this call cannot be called undisturbed."""
        found = [str(hearing) for hearing in self.hearings() if not hearing.is_fine]
        found += [f"the {leg} was sent a BYE" for leg in TONES if self._was_ended(self.talk.phone(leg))]
        state = self.talk.product.status(self.talk.call_id)
        return found if state == "connected" else [*found, f"the call is {state}"]

    def let_them_talk(self, seconds: float) -> None:
        """Until each party has got so much RTP from now on."""
        for peer in self.ears.values():
            peer.wait_for_more_audio(packets=round(seconds / FRAME), timeout=seconds + 20)

    def _hearing(self, party: str) -> Hearing:
        other = "caller" if party == "callee" else "callee"
        until = monotonic()
        line = heard(self.ears[party].samples(since=self.since, until=until), o=TONES[other], s=TONES[party])
        return Hearing(
            party,
            watched=until - self.since,
            heard=line.count("o") * FRAME,
            gap=_longest("[^o]", line),
            strange=_longest("[^o.]", line),
        )

    def _was_ended(self, phone: Phone) -> bool:
        return any(bye.tag("To") == phone.tag for bye in phone.received("BYE"))


def _longest(pattern: str, line: str) -> float:
    return max((len(run) for run in re.findall(f"{pattern}+", line)), default=0) * FRAME


@contextmanager
def watched_call(product: Product, trunk: SipTrunk) -> Iterator[WatchedCall]:
    """Connected, and both have heard each other for half a second."""
    with (
        RtpPeer(TONES["caller"]) as caller,
        RtpPeer(TONES["callee"]) as callee,
        talking(product, trunk, caller, callee) as talk,
    ):
        call = WatchedCall(talk, {"caller": caller, "callee": callee}, 0.0)
        call.let_them_talk(0.5)
        call.watch()
        yield call
