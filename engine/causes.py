"""Why a leg ended, in the API's words. One place decides (design: states and reasons).

A `Reason: Q.850;cause=N` header (RFC 3326) wins over the SIP status, because gateways squeeze many causes
into few statuses. Three causes say nothing about the party: 16 (normal clearing) and 31 (normal, unspecified)
come with any final response, 127 (interworking, unspecified) means that a gateway did not know either. With
these the status decides.
"""

from __future__ import annotations

from enum import Enum, IntEnum

from engine.signals import Leg
from state.call import DisconnectionReason as Reason


class Cause(Enum):
    BUSY = "busy"
    NO_ANSWER = "no answer"
    FAILURE = "failure"


BUSY_STATUSES = frozenset({486, 600, 603})
NO_ANSWER_STATUSES = frozenset({408, 480})
BUSY_Q850 = frozenset({17, 21})
"""User busy, call rejected."""
NO_ANSWER_Q850 = frozenset({18, 19, 20})
"""No user responding, no answer from user, subscriber absent."""
SILENT_Q850 = frozenset({16, 31, 127})

_REASONS = {
    (Leg.CALLER, Cause.BUSY): Reason.CALLER_BUSY,
    (Leg.CALLER, Cause.NO_ANSWER): Reason.CALLER_NO_ANSWER,
    (Leg.CALLER, Cause.FAILURE): Reason.CALLER_FAILURE,
    (Leg.CALLEE, Cause.BUSY): Reason.CALLEE_BUSY,
    (Leg.CALLEE, Cause.NO_ANSWER): Reason.CALLEE_NO_ANSWER,
    (Leg.CALLEE, Cause.FAILURE): Reason.CALLEE_FAILURE,
}


def classify(status: int, q850: int | None = None) -> Cause:
    """The cause of a final SIP response to our INVITE (3xx to 6xx), or of its time-out (408)."""
    if q850 is not None and q850 not in SILENT_Q850:
        if q850 in BUSY_Q850:
            return Cause.BUSY
        return Cause.NO_ANSWER if q850 in NO_ANSWER_Q850 else Cause.FAILURE
    if status in BUSY_STATUSES:
        return Cause.BUSY
    return Cause.NO_ANSWER if status in NO_ANSWER_STATUSES else Cause.FAILURE


def reason_for(leg: Leg, cause: Cause) -> Reason:
    """How the API reports that `leg` could not be reached."""
    return _REASONS[leg, cause]


class Q850(IntEnum):
    """Causes that we send ourselves in Reason headers (RFC 3326; ITU-T Q.850)."""

    NORMAL_CLEARING = 16
    NO_USER_RESPONDING = 18
    NO_ANSWER = 19
    TEMPORARY_FAILURE = 41
    TIMER_EXPIRED = 102


_Q850_OF_STATUS = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127,
    414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25, 484: 28,
    485: 1, 486: 17, 488: 88, 500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127, 600: 17,
    603: 21, 604: 1, 606: 88,
}  # fmt: skip
"""RFC 3398, section 8.2.6.1; 488 and 606 by its text (incompatible destination)."""


def q850_of_status(status: int) -> int:
    """What a SIP failure means in Q.850, for the Reason header towards the other party."""
    return _Q850_OF_STATUS.get(status, 31)
