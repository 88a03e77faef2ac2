"""Is there RTP? Decided from counts of received packets alone.

Early media is what the caller can hear, so only packets that the decoder gets count for it. A gateway may
go over to comfort noise (RFC 3389) after its announcement: we do not offer that, pjmedia throws it away, and
the caller would hear silence. So it counts as nothing, and ringback returns at once: to wait whether this was
only a pause would be silence, too. A codec's own frames of silence (G.729 Annex B, AMR, Opus) are decoded and
heard as noise, so they count as audio.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

EARLY_MEDIA_INTERVAL = 0.05
"""Seconds between two looks while the callee's phone rings."""
EARLY_MEDIA_PACKETS = 3
"""One packet may be a gateway's greeting to a NAT; three are a stream."""
EARLY_MEDIA_GAP = 0.2
"""Seconds without a packet after which early media has stopped; with the interval below 0.3 s of silence."""


@dataclass(slots=True)
class EarlyMediaWatch:
    """Whether the network's early media flows."""

    flows: bool = False
    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    """When the count of packets was what, oldest first: one look a gap ago, and those since."""

    def feed(self, packets: int, now: float) -> bool | None:
        """`packets` decoded so far at `now` (monotonic seconds); the new answer if it has changed."""
        self._seen.append((now, packets))
        while len(self._seen) > 1 and now - self._seen[1][0] >= EARLY_MEDIA_GAP:
            self._seen.popleft()
        fresh = packets - self._seen[0][1]
        flows = fresh >= (1 if self.flows else EARLY_MEDIA_PACKETS)
        if flows is self.flows:
            return None
        self.flows = flows
        return flows


@dataclass(slots=True)
class SilenceWatch:
    """Whether a connected party has stopped sending RTP."""

    timeout: float
    """Seconds; 0: never."""
    _packets: int = -1
    _since: float = 0.0

    def feed(self, packets: int, now: float, *, excused: bool) -> bool:
        """True once the timeout has passed. `excused`: the party need not send now (hold)."""
        if excused or packets != self._packets:
            self._packets, self._since = packets, now
            return False
        return 0 < self.timeout <= now - self._since
