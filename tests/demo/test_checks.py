"""What the demonstration demands of messages and events: it must fail whenever something is wrong."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from dialbridge.demo.checks import EVENT_TYPE, STATES, check_events, check_ladder, has_ended
from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.ladder import ASCII, Ladder
from dialbridge.demo.sink import ReceivedEvent
from state.sip_trace import SipMessage

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CALLER, CALLEE, NUMBER = "+447700900002", "+447700900001", "+441632960000"
Step = tuple[Literal["caller", "callee"], Literal["sent", "received"], str, str]

COURSE: tuple[Step, ...] = (
    ("caller", "sent", "INVITE", "INVITE"),
    ("caller", "received", "180 Ringing", "INVITE"),
    ("caller", "received", "200 OK", "INVITE"),
    ("caller", "sent", "ACK", "ACK"),
    ("callee", "sent", "INVITE", "INVITE"),
    ("callee", "received", "200 OK", "INVITE"),
    ("callee", "sent", "ACK", "ACK"),
    ("caller", "sent", "BYE", "BYE"),
    ("callee", "sent", "BYE", "BYE"),
    ("caller", "received", "200 OK", "BYE"),
    ("callee", "received", "200 OK", "BYE"),
)


def message(step: Step, position: int = 0, *, extra: str = "") -> SipMessage:
    leg, direction, what, method = step
    dialled = CALLER if leg == "caller" else CALLEE
    start = f"SIP/2.0 {what}" if what[0].isdigit() else f"{what} sip:{dialled}@127.0.0.1 SIP/2.0"
    head = f"{start}\r\nFrom: <sip:{NUMBER}@x>;tag=1\r\nP-Asserted-Identity: <sip:{NUMBER}@x>\r\n{extra}"
    return SipMessage(
        call_id="c",
        leg=leg,
        direction=direction,
        at=BEGAN + timedelta(milliseconds=position),
        text=f"{head}CSeq: 7 {method}\r\n\r\n",
    )


def course(steps: tuple[Step, ...] = COURSE) -> list[SipMessage]:
    return [message(step, position) for position, step in enumerate(steps)]


def judge(messages: list[SipMessage]) -> None:
    check_ladder(messages, caller=CALLER, callee=CALLEE, enterprise_number=NUMBER)


def test_a_good_course_passes() -> None:
    judge(course())
    assert has_ended(course())


@pytest.mark.parametrize("position", [0, 2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_a_missing_message_fails(position: int) -> None:
    with pytest.raises(DemoFailedError, match="leg lacks"):
        judge(course(COURSE[:position] + COURSE[position + 1 :]))


def test_the_callee_dialled_too_early_fails() -> None:
    early = (COURSE[0], COURSE[4], *COURSE[1:4], *COURSE[5:])
    with pytest.raises(DemoFailedError, match="before the caller had answered"):
        judge(course(early))


def test_another_number_in_from_fails() -> None:
    messages = course()
    messages[4] = messages[4].model_copy(update={"text": messages[4].text.replace(NUMBER, "+441", 1)})
    with pytest.raises(DemoFailedError, match=r"callee's INVITE does not name .* in From"):
        judge(messages)


def test_the_other_partys_number_fails() -> None:
    messages = course()
    messages[8] = message(COURSE[8], extra=f"Subject: {CALLER[1:]}\r\n")
    with pytest.raises(DemoFailedError, match="callee was shown the other party's number"):
        judge(messages)


def test_a_call_has_not_ended_before_both_byes_are_answered() -> None:
    assert not has_ended(course(COURSE[:-1]))


def events() -> list[ReceivedEvent]:
    made = []
    for number, state in enumerate(STATES):
        status = {"state": state}
        data: dict[str, Any] = {"callId": "c", "caller": CALLER, "callee": CALLEE, "status": status}
        if state == "disconnected":
            status["reason"] = "hangUp"
            data["recordingResult"] = "success"
        body = {
            "id": str(number),
            "specversion": "1.0",
            "type": EVENT_TYPE,
            "subject": "/calls/c",
            "data": data,
        }
        made.append(ReceivedEvent(BEGAN, "application/cloudevents+json", "Bearer t", body))
    return made


def judge_events(received: list[ReceivedEvent]) -> None:
    check_events(received, call_id="c", caller=CALLER, callee=CALLEE, sink_token="t")


def test_good_events_pass() -> None:
    judge_events(events())


@pytest.mark.parametrize(
    "damage",
    [
        lambda e: e.pop(2),
        lambda e: e.append(e[-1]),
        lambda e: e.insert(1, e.pop(2)),
        lambda e: e[1].body.update(subject="/calls/d"),
        lambda e: e[1].body.update(id="0"),
        lambda e: e[3].data.update(caller=CALLEE),
        lambda e: e[4].data.update(recordingResult="fail"),
        lambda e: e[4].data["status"].update(reason="other"),
        lambda e: e.__setitem__(0, ReceivedEvent(BEGAN, "application/json", "Bearer t", e[0].body)),
        lambda e: e.__setitem__(0, ReceivedEvent(BEGAN, e[0].content_type, "Bearer x", e[0].body)),
    ],
)
def test_damaged_events_fail(damage: Any) -> None:
    received = deepcopy(events())
    damage(received)
    with pytest.raises(DemoFailedError) as failure:
        judge_events(received)
    assert failure.value.part == "the sink"


def test_arrows_point_from_the_sender() -> None:
    ladder = Ladder(BEGAN, ASCII)
    invite, answer, dialled, bye = (ladder.message(message(COURSE[i])) for i in (0, 2, 4, 10))
    assert "|<" in invite
    assert "INVITE" in invite
    assert ">|" in answer
    assert answer.index(">") < answer.rindex("|")
    assert dialled.endswith(">|")
    assert "200 OK (BYE)" in bye
    assert len({len(row) for row in (invite, answer, dialled, bye)}) == 1
