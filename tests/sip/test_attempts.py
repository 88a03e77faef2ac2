"""What a call detail record tells of each attempt at a party: trunk, number, times and why it ended."""

from __future__ import annotations

from datetime import datetime

import pytest
from redis.asyncio import Redis

from state.attempts import LegAttempt
from state.call import DisconnectionReason as Reason
from state.call import utc_now
from state.cdr import CallDetailRecord, CallDetailRecords
from state.keys import Keys
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, call, connect, ring
from tests.support.lossy_path import LossyPath
from tests.support.sdp import G722, Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

LEGS = pytest.mark.parametrize("leg", ["caller", "callee"])


@pytest.fixture(scope="module")
def overrides(path: LossyPath | None) -> Overrides:
    # Over the lossy path: time for the INVITE's copies, of which four may be lost.
    return {"trunk": {"name": "carrier-1"}, "call": {"no_progress_timeout": 9.0 if path else 1.5}}


def record_of(product: Product, call_id: str) -> CallDetailRecord:
    async def read(redis: Redis, keys: Keys) -> list[CallDetailRecord]:
        begin = datetime.fromtimestamp(0, tz=utc_now().tzinfo)
        return [one async for one in CallDetailRecords(redis, keys).between(begin, utc_now())]

    (record,) = (one for one in product.with_redis(read) if one.call_id == call_id)
    return record


def attempts(product: Product, call_id: str, leg: str) -> list[LegAttempt]:
    return [one for one in record_of(product, call_id).attempts if one.leg == leg]


def ending(attempt: LegAttempt) -> tuple[int | None, int | None, str | None]:
    return attempt.sip_status, attempt.q850, attempt.ended_by


def assert_in_order(*times: datetime | None) -> None:
    known = [time for time in times if time is not None]
    assert len(known) == len(times)
    assert known == sorted(known)


def test_the_times_of_an_answered_call_are_in_order(product: Product, trunk: SipTrunk) -> None:
    called = call(product, trunk, "callee")
    ring(product, called)
    called.phone.answer()
    product.wait_status(called.call_id, "connected")
    called.phone.bye()
    assert_ended(product, called.call_id, Reason.HANG_UP)

    record = record_of(product, called.call_id)
    caller, callee = record.attempts
    assert (caller.leg, caller.trunk, caller.dialled) == ("caller", "carrier-1", record.caller)
    assert (callee.leg, callee.trunk, callee.dialled) == ("callee", "carrier-1", record.callee)
    assert caller.ringing_at is None
    assert_in_order(record.created_at, caller.invited_at, caller.answered_at, callee.invited_at)
    assert_in_order(callee.invited_at, callee.ringing_at, callee.answered_at, callee.ended_at)
    assert callee.answered_at == record.connected_at
    assert caller.ended_at == callee.ended_at == record.ended_at
    assert (ending(caller), ending(callee)) == ((200, 16, "platform"), (200, 16, "party"))


@LEGS
@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (["486 Busy Here"], (486, 17, "party")),
        (["503 Service Unavailable", "Reason: Q.850;cause=34"], (503, 34, "party")),
    ],
    ids=["486", "503 with Q.850 34"],
)
def test_a_failure_is_told_by_status_and_cause(
    product: Product, trunk: SipTrunk, leg: str, answer: list[str], heard: tuple[int, int, str]
) -> None:
    called = call(product, trunk, leg)
    called.phone.respond(*answer)
    product.wait_ended(called.call_id)
    (attempt,) = attempts(product, called.call_id, leg)
    assert ending(attempt) == heard
    assert (attempt.ringing_at, attempt.answered_at) == (None, None)
    assert_in_order(attempt.invited_at, attempt.ended_at)


@LEGS
def test_a_redirection_is_an_attempt_of_its_own(product: Product, trunk: SipTrunk, leg: str) -> None:
    called, target = call(product, trunk, leg), fresh_number()
    called.phone.respond("302 Moved Temporarily", f"Contact: <sip:{target}@127.0.0.1>")
    trunk.ringing_at(target).respond("603 Decline")
    assert_ended(product, called.call_id, called.reason("Busy"))
    first, second = attempts(product, called.call_id, leg)
    assert (first.dialled, second.dialled) == (called.phone.number, target)
    assert (ending(first), ending(second)) == ((302, 31, "party"), (603, 21, "party"))
    assert_in_order(first.invited_at, first.ended_at, second.invited_at, second.ended_at)


@LEGS
def test_a_phone_that_was_cancelled_while_it_rang(product: Product, trunk: SipTrunk, leg: str) -> None:
    called = call(product, trunk, leg)
    ring(product, called)
    assert product.delete(called.call_id) == 204
    (attempt,) = attempts(product, called.call_id, leg)
    assert_in_order(attempt.invited_at, attempt.ringing_at, attempt.ended_at)
    assert attempt.answered_at is None
    assert ending(attempt) == (487, 16, "platform")
    called.phone.wait_for("ACK")


def test_a_network_that_says_nothing(product: Product, trunk: SipTrunk) -> None:
    called = call(product, trunk, "caller")
    assert_ended(product, called.call_id, Reason.CALLER_NO_ANSWER, timeout=30.0)
    (attempt,) = record_of(product, called.call_id).attempts
    assert (attempt.ringing_at, ending(attempt)) == (None, (487, 18, "platform"))
    called.phone.respond("180 Ringing")
    called.phone.wait_for("CANCEL")


@LEGS
def test_the_cause_in_a_bye(product: Product, trunk: SipTrunk, leg: str) -> None:
    talk = connect(product, trunk)
    talk.phone(leg).bye("Reason: Q.850;cause=27")
    assert_ended(product, talk.call_id, Reason.HANG_UP)
    (own,) = attempts(product, talk.call_id, leg)
    (other,) = attempts(product, talk.call_id, "callee" if leg == "caller" else "caller")
    assert (ending(own), ending(other)) == ((200, 27, "party"), (200, 27, "platform"))


@pytest.mark.parametrize(
    ("sdp", "status", "q850"),
    [(None, 406, 79), (Sdp(9, (G722,)), 488, 88)],
    ids=["no SDP", "no codec of ours"],
)
def test_an_answer_that_cannot_be_used_is_ended_by_us(
    product: Product, trunk: SipTrunk, sdp: Sdp | None, status: int, q850: int
) -> None:
    called = call(product, trunk, "caller")
    called.phone.respond("200 OK", sdp=sdp)
    assert_ended(product, called.call_id, Reason.CALLER_FAILURE)
    (attempt,) = record_of(product, called.call_id).attempts
    assert ending(attempt) == (status, q850, "platform")
    called.phone.wait_for("BYE")
