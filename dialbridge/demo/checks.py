"""What must be true of the call's SIP messages and events. Each check raises DemoFailedError."""

from __future__ import annotations

from collections.abc import Sequence

from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.ladder import cseq_method, header
from dialbridge.demo.sink import ReceivedEvent
from state.sip_trace import SipMessage

STATES = ("initiating", "callingCaller", "callingCallee", "connected", "disconnected")
EVENT_TYPE = "org.camaraproject.click-to-dial.v0.status-changed"
LEG_STEPS = (
    ("sent", "INVITE", "INVITE"),
    ("received", "200", "INVITE"),
    ("sent", "ACK", "ACK"),
    ("sent", "BYE", "BYE"),
    ("received", "200", "BYE"),
)
"""Direction, method or status, and method of the transaction, in this order on each leg."""


def check_ladder(messages: Sequence[SipMessage], *, caller: str, callee: str, enterprise_number: str) -> None:
    """Both legs ran in full and in order, shown the enterprise's number and nobody else's."""
    for leg, other in (("caller", callee), ("callee", caller)):
        of_leg = [m for m in messages if m.leg == leg]
        _check_steps(leg, of_leg)
        invite = next(m for m in of_leg if _is(m, ("sent", "INVITE", "INVITE")))
        for name in ("From", "P-Asserted-Identity"):
            if enterprise_number not in header(invite, name):
                raise _sip(f"the {leg}'s INVITE does not name {enterprise_number} in {name}")
        if any(other.lstrip("+") in m.text for m in of_leg):
            raise _sip(f"the {leg} was shown the other party's number")
    answered = _first(messages, "caller", ("received", "200", "INVITE"))
    dialled = _first(messages, "callee", ("sent", "INVITE", "INVITE"))
    if dialled < answered:
        raise _sip("the callee was dialled before the caller had answered")


def has_ended(messages: Sequence[SipMessage]) -> bool:
    """Whether the BYE of both legs has been answered."""
    return all(any(m.leg == leg and _is(m, LEG_STEPS[-1]) for m in messages) for leg in ("caller", "callee"))


def check_events(
    events: Sequence[ReceivedEvent], *, call_id: str, caller: str, callee: str, sink_token: str
) -> None:
    """The sink got each step of the call once, in order, as the CloudEvents the specification describes."""
    states = tuple(event.state for event in events)
    if states != STATES:
        raise _sink(f"got {', '.join(states) or 'nothing'} instead of {', '.join(STATES)}")
    for event in events:
        body, data = event.body, event.data
        if not event.content_type.startswith("application/cloudevents+json"):
            raise _sink(f"got an event as {event.content_type}")
        if event.authorization != f"Bearer {sink_token}":
            raise _sink("got an event without the token of the sinkCredential")
        expected = {
            "specversion": ("1.0", body.get("specversion")),
            "type": (EVENT_TYPE, body.get("type")),
            "subject": (f"/calls/{call_id}", body.get("subject")),
            "callId": (call_id, data.get("callId")),
            "caller": (caller, data.get("caller")),
            "callee": (callee, data.get("callee")),
        }
        for name, (wanted, got) in expected.items():
            if got != wanted:
                raise _sink(f"got {name} {got!r} instead of {wanted!r} in the event {event.state}")
    if len({event.body.get("id") for event in events}) != len(events):
        raise _sink("got two events with the same id")
    last = events[-1].data
    if last["status"].get("reason") != "hangUp" or last.get("recordingResult") != "success":
        raise _sink(
            f"was told {last['status'].get('reason')} and {last.get('recordingResult')} "
            "instead of hangUp and success at the end"
        )


def _check_steps(leg: str, messages: Sequence[SipMessage]) -> None:
    position = 0
    for step in LEG_STEPS:
        found = next((i for i in range(position, len(messages)) if _is(messages[i], step)), None)
        if found is None:
            direction, what, method = step
            raise _sip(f"the {leg}'s leg lacks {what} ({method}) {direction} by the engine in its place")
        position = found + 1


def _first(messages: Sequence[SipMessage], leg: str, step: tuple[str, str, str]) -> int:
    return next(i for i, m in enumerate(messages) if m.leg == leg and _is(m, step))


def _is(message: SipMessage, step: tuple[str, str, str]) -> bool:
    direction, what, method = step
    words = message.start_line.split()
    found = words[1] if words[0] == "SIP/2.0" else words[0]
    return message.direction == direction and found == what and cseq_method(message) == method


def _sip(why: str) -> DemoFailedError:
    return DemoFailedError("SIP", why, process="engine")


def _sink(why: str) -> DemoFailedError:
    return DemoFailedError("the sink", why, process="notifier")
