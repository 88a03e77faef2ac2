"""What pjmedia counts of one leg's audio, over all the streams that re-INVITEs have given it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from media.quality import mos, one_way_delay
from state.quality import LegQuality


@dataclass(frozen=True, slots=True)
class StreamReading:
    """One stream's counts since it began, or the sum of several. Times in milliseconds."""

    codec: str
    clock_rate: int
    sent: int
    received: int
    lost: int
    discarded: int
    jitter: float
    round_trip: float | None
    buffer: float
    decoded: int
    """Of the packets received, those that the decoder gets: audio, not comfort noise or digits."""
    frame: float

    def after(self, earlier: StreamReading | None) -> StreamReading:
        """The leg's figures when this stream followed those of `earlier`."""
        if earlier is None:
            return self
        return replace(
            self,
            sent=earlier.sent + self.sent,
            received=earlier.received + self.received,
            decoded=earlier.decoded + self.decoded,
            lost=earlier.lost + self.lost,
            discarded=earlier.discarded + self.discarded,
            jitter=self.jitter if self.received else earlier.jitter,
            round_trip=earlier.round_trip if self.round_trip is None else self.round_trip,
            buffer=self.buffer if self.received else earlier.buffer,
        )

    def quality(self) -> LegQuality:
        expected = self.received + self.lost
        score = None
        if self.received:
            delay = one_way_delay(self.round_trip, self.buffer, self.frame)
            missing = min(1.0, (self.lost + self.discarded) / expected)
            score = round(mos(self.codec, loss=missing, one_way_delay_ms=delay), 2)
        return LegQuality(
            codec=self.codec,
            clock_rate=self.clock_rate,
            packets_sent=self.sent,
            packets_received=self.received,
            packets_lost=self.lost,
            packets_discarded=self.discarded,
            jitter_ms=round(self.jitter, 1),
            round_trip_ms=None if self.round_trip is None else round(self.round_trip, 1),
            mos=score,
        )
