"""What one leg's audio was like, as measured on our side of it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class LegQuality(BaseModel):
    """Figures since the leg's audio began; all of what the party sent to us unless said otherwise."""

    model_config = ConfigDict(frozen=True)

    codec: str
    """Encoding name as in SDP (RFC 4855)."""
    clock_rate: int
    """Samples per second."""
    packets_sent: int
    packets_received: int
    packets_lost: int
    """Missing by RTP sequence number (RFC 3550)."""
    packets_discarded: int
    """Came too late or too early for the jitter buffer."""
    jitter_ms: float
    """Mean interarrival jitter (RFC 3550, section 6.4.1)."""
    round_trip_ms: float | None = None
    """Mean, from RTCP reports; None if the party sends none."""
    mos: float | None = None
    """Estimate by the E-model (ITU-T G.107, G.107.1), 1 to 4.5; None before any packet came."""
