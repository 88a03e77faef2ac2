"""A call that a client asks for, whichever generation of the API it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from state.call import Generation


@dataclass(frozen=True, slots=True)
class Sink:
    """Where the call's events go, and with which credential (CAMARA_event_common.yaml)."""

    uri: str
    token: str | None = field(default=None, repr=False)
    token_expires_at: datetime | None = None
    client_id: str | None = None
    """Who we are at `token_uri`, where access tokens for the sink are to be had."""
    token_uri: str | None = None


@dataclass(frozen=True, slots=True)
class WantedCall:
    caller: str
    callee: str
    recording: bool = False
    """Whether the request asks for it; the enterprise has the last word."""
    sink: Sink | None = None
    presented_number: str | None = None
    """One of the enterprise's; None: its default."""
    generation: Generation = "camara"
    call_id: str = field(default_factory=lambda: str(uuid4()))
