"""Session timers (RFC 4028): who refreshes, how, and what becomes of a session that is not refreshed.

The shortest session that the RFC allows lasts 90 s, so those that take their time live all at once, and their
tests look at them when they are over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType

import pytest

from state.call import DisconnectionReason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import cause
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import PLAIN, Talk, talking
from tests.support.sdp import Sdp
from tests.support.sip_client import SipText
from tests.support.sip_trunk import ALLOW, Phone, SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

SESSION = 90
HALF = SESSION / 2
"""When a refresher refreshes (section 7.2)."""
GIVEN_UP = SESSION - 30
"""When we hang up as nobody refreshes: a third of the session, or 32 s, before its end (section 10)."""
TIMER_F = 32
"""Seconds in which an UPDATE must be answered (RFC 3261, section 17.1.2.2)."""
REQUIRED = "Require: timer"
WE_REFRESH = (f"Session-Expires: {SESSION};refresher=uac", REQUIRED)
THEY_REFRESH = (f"Session-Expires: {SESSION};refresher=uas", REQUIRED)
NO_UPDATE = "Allow: INVITE, ACK, CANCEL, BYE"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def overrides(request: pytest.FixtureRequest) -> Overrides:
    """The phones send no audio: this is about SIP. A test may choose `trunk.session_timer`."""
    timer = getattr(request, "param", "optional")
    return {"trunk": {"session_expires": SESSION, "session_timer": timer}, "call": {"media_timeout": 0}}


@dataclass
class NoAudio:
    port: int = 9


def test_what_we_offer(product: Product, trunk: SipTrunk) -> None:
    with talking(product, trunk, NoAudio(), NoAudio()) as talk:
        for phone in (talk.caller, talk.callee):
            assert phone.invite.header("Session-Expires") == str(SESSION)
            assert phone.invite.header("Min-SE") == "90"
            assert "timer" in phone.invite.header("Supported")


def test_an_interval_that_is_too_small_for_the_network_is_raised(product: Product, trunk: SipTrunk) -> None:
    """Once: a network that raises its demand for ever is not followed."""
    number = fresh_number()
    call_id = product.create(number, fresh_number())
    phone = trunk.ringing_at(number)
    phone.acknowledged(phone.respond("422 Session Interval Too Small", "Min-SE: 1800"))
    again = phone.wait_for("INVITE", count=2)
    assert again.header("Session-Expires") == "1800"
    assert again.header("Min-SE") == "1800"
    wait_until(lambda: phone.invite == again)
    phone.respond("422 Session Interval Too Small", "Min-SE: 3600")
    assert product.wait_ended(call_id).reason is DisconnectionReason.CALLER_FAILURE
    assert len(phone.received("INVITE")) == 2


def test_an_interval_that_is_too_small_for_us_is_refused(product: Product, trunk: SipTrunk) -> None:
    with talking(product, trunk, NoAudio(), NoAudio(), callee_headers=(*THEY_REFRESH, ALLOW)) as talk:
        for method in ("UPDATE", "INVITE"):
            request = talk.callee.request(
                method, "Session-Expires: 60;refresher=uac", "Supported: timer", sdp=replace(PLAIN, port=9)
            )
            refused = talk.callee.response_to(request)
            assert (refused.status, refused.header("Min-SE")) == (422, "90")
        assert talk.callee.update(None, "Session-Expires: 90;refresher=uac", "Supported: timer").status == 200
        assert product.status(talk.call_id) == "connected"


def test_the_scenario_of_an_interval_too_small(sipp: ScenarioTrunk) -> None:
    with sipp.playing("session-interval-too-small"):
        call_id = sipp.product.create(fresh_number("01"), fresh_number("99"))
        assert sipp.product.wait_ended(call_id).reason is DisconnectionReason.HANG_UP


@pytest.mark.parametrize("overrides", ["off"], indirect=True)
def test_session_timers_may_be_off(product: Product, trunk: SipTrunk) -> None:
    with talking(product, trunk, NoAudio(), NoAudio()) as talk:
        assert not talk.caller.invite.has("Session-Expires")
        assert "timer" not in talk.caller.invite.header("Supported")


@pytest.mark.parametrize("overrides", ["required"], indirect=True)
def test_a_phone_without_the_timer_that_is_required_is_not_talked_to(
    product: Product, trunk: SipTrunk
) -> None:
    numbers = fresh_number(), fresh_number()
    call_id = product.create(*numbers)
    caller = trunk.ringing_at(numbers[0])
    assert caller.invite.header("Require") == "timer"
    caller.answer(headers=WE_REFRESH)
    callee = trunk.ringing_at(numbers[1])
    callee.respond("200 OK", rtp_port=9)
    assert cause(callee, "BYE") == cause(caller, "BYE") == "Q.850;cause=127"
    assert product.wait_ended(call_id).reason is DisconnectionReason.CALLEE_FAILURE


@pytest.mark.parametrize("overrides", ["always"], indirect=True)
def test_a_timer_may_be_used_whether_the_phone_has_one_or_not(product: Product, trunk: SipTrunk) -> None:
    """Who has none refreshes nothing, so we do."""
    with talking(product, trunk, NoAudio(), NoAudio()) as talk:
        assert talk.caller.invite.header("Session-Expires") == str(SESSION)
        assert not talk.caller.invite.has("Require")


class Sessions:
    """The calls by name; in each, the callee is the one with a session timer."""

    def __init__(self, product: Product, trunk: SipTrunk) -> None:
        self._product = product
        self._trunk = trunk
        self._exit = ExitStack()
        self.calls: dict[str, Talk] = {}
        self.of_the_scenario = ""

    def start(self, name: str, *headers: str, sdp: Sdp = PLAIN, answers_refresh: bool = True) -> Phone:
        talk = self._exit.enter_context(
            talking(self._product, self._trunk, NoAudio(), NoAudio(), callee_sdp=sdp, callee_headers=headers)
        )
        talk.callee.answers_reinvite = answers_refresh
        self.calls[name] = talk
        return talk.callee

    def __enter__(self) -> Sessions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def seconds_until(self, name: str, message: SipText) -> float:
        """From the answer of the call until the engine sent this."""
        log = self.calls[name].callee.log
        answered = next(h.at for h in log if h.sent and h.message.status == 200)
        return next(h.at for h in log if h.message == message) - answered


@pytest.fixture(scope="module")
def sessions(product: Product, trunk: SipTrunk, sipp: ScenarioTrunk) -> Iterator[Sessions]:
    """Each played to its end, or until it has outlived the time at which one that is not refreshed ends."""
    running = Sessions(product, trunk)
    with running, sipp.playing("session-timer"):
        running.of_the_scenario = sipp.product.create(fresh_number("01"), fresh_number("99"))
        refuses = {
            "481": running.start("481", *WE_REFRESH, ALLOW, answers_refresh=False),
            "408": running.start("408", *WE_REFRESH, ALLOW, answers_refresh=False),
            "491": running.start("491", *WE_REFRESH, NO_UPDATE, answers_refresh=False),
            "422": running.start("422", *WE_REFRESH, ALLOW, answers_refresh=False),
        }
        running.start("unanswered", *WE_REFRESH, ALLOW, answers_refresh=False)
        running.start("by UPDATE", *WE_REFRESH, ALLOW)
        running.start("by re-INVITE", *WE_REFRESH, NO_UPDATE)
        running.start("they forget", *THEY_REFRESH, ALLOW)
        theirs = running.start("they refresh", *THEY_REFRESH, ALLOW)
        running.start("no timer")
        refuses["481"].respond_to(refuses["481"].wait_for("UPDATE", HALF + 15), "481 Gone")
        refuses["408"].respond_to(refuses["408"].wait_for("UPDATE", 15), "408 Request Timeout")
        pending, too_small = refuses["491"].wait_for_reinvite(15), refuses["422"].wait_for("UPDATE", 15)
        for name in ("491", "422"):  # the next may come at once
            refuses[name].answers_reinvite = True
        refuses["491"].respond_to(pending, "491 Request Pending")
        refuses["422"].respond_to(too_small, "422 Session Interval Too Small", "Min-SE: 120")
        # Before we give them up, and with a timer of their own choice.
        assert theirs.update(None, "Session-Expires: 100;refresher=uac", "Supported: timer").status == 200
        running.calls["unanswered"].callee.wait_for("BYE", HALF + TIMER_F + 15)
        yield running


def ended(sessions: Sessions, name: str) -> DisconnectionReason | None:
    talk = sessions.calls[name]
    return talk.product.wait_ended(talk.call_id).reason


def causes(sessions: Sessions, name: str) -> set[str]:
    """Those of which the engine's BYEs tell the two phones."""
    return {cause(phone, "BYE") for phone in (sessions.calls[name].caller, sessions.calls[name].callee)}


def is_connected(sessions: Sessions, name: str) -> bool:
    talk = sessions.calls[name]
    return talk.product.status(talk.call_id) == "connected"


@pytest.mark.parametrize(("name", "method"), [("by UPDATE", "UPDATE"), ("by re-INVITE", "INVITE")])
def test_we_refresh_at_half_time_by_what_the_phone_allows(sessions: Sessions, name: str, method: str) -> None:
    phone = sessions.calls[name].callee
    (refresh,) = phone.reinvites() or phone.received("UPDATE")
    assert refresh.method == method
    assert refresh.header("Session-Expires") == f"{SESSION};refresher=uac"
    assert sessions.seconds_until(name, refresh) == pytest.approx(HALF, abs=5)
    if method == "INVITE":
        assert refresh.sdp.address == phone.offer.address
    assert is_connected(sessions, name)


def test_a_session_that_the_phone_does_not_refresh_is_ended_before_it_expires(sessions: Sessions) -> None:
    bye = sessions.calls["they forget"].callee.wait_for("BYE")
    assert sessions.seconds_until("they forget", bye) == pytest.approx(GIVEN_UP, abs=5)
    assert ended(sessions, "they forget") is DisconnectionReason.OTHER
    assert causes(sessions, "they forget") == {"Q.850;cause=102"}


def test_a_session_that_the_phone_refreshes_goes_on(sessions: Sessions) -> None:
    phone = sessions.calls["they refresh"].callee
    answer = next(r for r in phone.received(200) if r.method == "UPDATE")
    assert answer.header("Session-Expires") == "100;refresher=uac"
    assert not phone.received("UPDATE")
    assert is_connected(sessions, "they refresh")


@pytest.mark.parametrize(("status", "q850"), [("481", 41), ("408", 102)])
def test_a_refresh_that_finds_no_dialog_ends_the_call(sessions: Sessions, status: str, q850: int) -> None:
    """RFC 4028, section 10. Nobody hung up, so the reason is `other`."""
    assert causes(sessions, status) == {f"Q.850;cause={q850}"}
    assert ended(sessions, status) is DisconnectionReason.OTHER


def test_a_refresh_that_nobody_answers_ends_the_call(sessions: Sessions) -> None:
    bye = sessions.calls["unanswered"].callee.wait_for("BYE")
    assert sessions.seconds_until("unanswered", bye) == pytest.approx(HALF + TIMER_F, abs=8)
    assert ended(sessions, "unanswered") is DisconnectionReason.OTHER
    assert causes(sessions, "unanswered") == {"Q.850;cause=102"}


def test_a_refresh_that_meets_another_offer_is_sent_again(sessions: Sessions) -> None:
    first, second = sessions.calls["491"].callee.reinvites()
    assert second.cseq > first.cseq
    assert second.header("Session-Expires") == f"{SESSION};refresher=uac"
    assert is_connected(sessions, "491")


def test_a_refresh_whose_interval_is_too_small_is_sent_again_with_a_longer_one(sessions: Sessions) -> None:
    first, second = sessions.calls["422"].callee.received("UPDATE")
    assert first.header("Session-Expires") == f"{SESSION};refresher=uac"
    assert second.header("Session-Expires") == "120;refresher=uac"
    assert second.header("Min-SE") == "120"
    assert is_connected(sessions, "422")


def test_without_a_timer_nothing_is_refreshed(sessions: Sessions) -> None:
    for talk in sessions.calls.values():
        assert not talk.caller.reinvites()
        assert not talk.caller.received("UPDATE")
    assert is_connected(sessions, "no timer")


def test_the_scenario(sessions: Sessions, sipp: ScenarioTrunk) -> None:
    """SIPp has refreshed one leg and been refreshed in the other, or the fixture would have failed."""
    call = sipp.product.call(sessions.of_the_scenario)
    assert call.reason is DisconnectionReason.HANG_UP
    assert call.duration is not None
    assert call.duration >= HALF - 1
