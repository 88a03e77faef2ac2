"""What a call tried in order to reach its parties."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict


class LegAttempt(BaseModel):
    """One INVITE to one party, until its dialog is over; times are UTC. What stayed unknown is None."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    leg: Literal["caller", "callee"]
    trunk: str
    """Its name (`trunk.name`)."""
    dialled: str
    """The party's own number, or where a redirection led."""
    invited_at: datetime
    ringing_at: datetime | None = None
    """The first 18x."""
    answered_at: datetime | None = None
    """The 2xx."""
    ended_at: datetime | None = None
    """None: the engine died first."""
    sip_status: int | None = None
    """The final one: 200 after an answer, a failure, 487 when we gave up before either (RFC 3261, 9.1).

    Of an answered leg whose dialog was lost, what showed that: 408 or 481, for example.
    """
    q850: int | None = None
    """The cause of the end as its Reason header says it (RFC 3326), else what the status means (RFC 3398)."""
    ended_by: Literal["party", "platform"] | None = None
    """party: its phone or its network said so. platform: we did, or nobody answered us any more."""
