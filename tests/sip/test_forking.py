"""An INVITE that a proxy has forked: several early dialogs on one leg, any of which may answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, call, q850
from tests.sip.heard import assert_never_two_and_never_silent, heard, stations
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.waiting_caller import RINGBACK, SECOND, TONES, waiting_caller
from tests.support.lossy_path import LossyPath
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

FIRST, SECOND_FORK, UNSEEN = "fork-a", "fork-b", "fork-c"
"""To tags."""
FORKS = {FIRST: 620.0, SECOND_FORK: 2200.0, UNSEEN: 1000.0}
"""Hz of what each plays."""
HEARD = {"c": TONES["c"], "r": TONES["r"], "a": 620.0, "b": 2200.0, "x": 1000.0}
LETTER = {FIRST: "a", SECOND_FORK: "b", UNSEEN: "x"}


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {"ringback": RINGBACK}


@pytest.fixture
def ear() -> Iterator[RtpPeer]:
    with RtpPeer(TONES["c"]) as peer:
        yield peer


@pytest.fixture
def forks() -> Iterator[dict[str, RtpPeer]]:
    """The forks' RTP by To tag; mute at first."""
    with RtpPeer(FORKS[FIRST]) as a, RtpPeer(FORKS[SECOND_FORK]) as b, RtpPeer(FORKS[UNSEEN]) as c:
        peers = {FIRST: a, SECOND_FORK: b, UNSEEN: c}
        for peer in peers.values():
            peer.pause()
        yield peers


@pytest.mark.parametrize("winner", [FIRST, SECOND_FORK, UNSEEN])
def test_of_two_forks_with_early_media_one_is_heard_and_any_fork_may_answer(
    product: Product,
    trunk: SipTrunk,
    path: LossyPath | None,
    ear: RtpPeer,
    forks: dict[str, RtpPeer],
    winner: str,
) -> None:
    with waiting_caller(product, trunk, ear) as waiting:
        callee = waiting.callee
        for tag in (FIRST, SECOND_FORK):
            forks[tag].remote = callee.offer.address
            callee.respond("183 Session Progress", rtp_port=forks[tag].port, tag=tag)
            forks[tag].resume()
            ear.wait_for_more_audio(packets=SECOND)
        early = heard(ear.samples(), **HEARD)
        # The proxy ends the others as soon as one has answered.
        for tag, peer in forks.items():
            if tag != winner:
                peer.pause()
        forks[winner].resume()
        waiting.connect(forks[winner], sdp=Sdp(forks[winner].port), tag=winner)
        assert callee.wait_for("ACK").tag("To") == winner
        # A stream that another source has taken over is followed after ten packets of the new one.
        ear.wait_for_more_audio(packets=SECOND // 2)
        since = ear.wait_for_more_audio(packets=SECOND)
        talk = heard(ear.samples(since=since), **HEARD)
        spoken = heard(forks[winner].samples(since=since), **HEARD)
    assert stations(early).removeprefix("r") in ("a", "ab")
    assert_never_two_and_never_silent(early, path)
    assert stations(talk) == LETTER[winner]
    assert stations(spoken) == "c"
    assert callee.wait_for("BYE").tag("To") == winner


def test_when_one_fork_falls_silent_the_caller_hears_the_other(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, forks: dict[str, RtpPeer]
) -> None:
    """And ringback until it is certain that the first has stopped."""
    with waiting_caller(product, trunk, ear) as waiting:
        for tag in (FIRST, SECOND_FORK):
            forks[tag].remote = waiting.callee.offer.address
            waiting.callee.respond("183 Session Progress", rtp_port=forks[tag].port, tag=tag)
            forks[tag].resume()
            ear.wait_for_more_audio(packets=SECOND)
        forks[FIRST].pause()
        ear.wait_for_more_audio(packets=3 * SECOND)
        text = heard(ear.samples(), **HEARD)
    assert stations(text).removeprefix("r") in ("ab", "arb")
    assert_never_two_and_never_silent(text, path)


def test_reliable_responses_of_two_forks_are_acknowledged_each_in_its_dialog(
    product: Product, trunk: SipTrunk
) -> None:
    """Both count from their own RSeq (RFC 3262, section 4)."""
    called = call(product, trunk, "callee")
    phone = called.phone
    for count, tag in enumerate((FIRST, SECOND_FORK), start=1):
        phone.respond("183 Session Progress", "RSeq: 7", "Require: 100rel", rtp_port=9, tag=tag)
        prack = phone.wait_for("PRACK", count=count)
        assert (prack.tag("To"), prack.header("RAck")) == (tag, f"7 {phone.invite.header('CSeq')}")
    phone.answer(tag=FIRST)
    product.wait_status(called.call_id, "connected")
    assert product.delete(called.call_id) == 204
    assert phone.wait_for("BYE").tag("To") == FIRST


def test_a_fork_that_answers_after_another_is_hung_up_and_disturbs_nothing(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer, forks: dict[str, RtpPeer]
) -> None:
    """RFC 3261, section 13.2.2.4; its RTP reaches the port of the call all the same."""
    with waiting_caller(product, trunk, ear) as waiting:
        callee = waiting.callee
        callee.respond("180 Ringing", tag=FIRST)
        callee.respond("180 Ringing", tag=SECOND_FORK)
        forks[FIRST].resume()
        waiting.connect(forks[FIRST], tag=FIRST)
        since = ear.wait_for_more_audio(packets=1)
        late = forks[SECOND_FORK]
        late.remote = callee.offer.address
        late.resume()
        answer = callee.respond("200 OK", rtp_port=late.port, tag=SECOND_FORK)
        if path is None:  # an ACK that is lost is not repeated; the BYE is, and ends the phone's call
            callee.acknowledged(answer)
        bye = callee.wait_for("BYE")
        assert (bye.tag("To"), q850(bye)) == (SECOND_FORK, "Q.850;cause=26")
        ear.wait_for_more_audio(packets=SECOND)
        assert product.status(waiting.call_id) == "connected"
        assert stations(heard(ear.samples(since=since), **HEARD)) == LETTER[FIRST]
    assert callee.wait_for("BYE", count=2).tag("To") == FIRST


def test_forks_that_answer_although_the_call_was_given_up_are_all_hung_up(
    product: Product, trunk: SipTrunk, path: LossyPath | None
) -> None:
    called = call(product, trunk, "callee")
    phone = called.phone
    phone.answers_cancel = False
    for tag in (FIRST, SECOND_FORK):
        phone.respond("180 Ringing", tag=tag)
    assert product.delete(called.call_id) == 204
    phone.respond_to(phone.wait_for("CANCEL"), "200 OK")
    for count, tag in enumerate((FIRST, SECOND_FORK), start=1):
        answer = phone.respond("200 OK", rtp_port=9, tag=tag)
        if path is None:
            phone.acknowledged(answer)
        bye = phone.wait_for("BYE", count=count)
        assert (bye.tag("To"), q850(bye)) == (tag, "Q.850;cause=16")
    assert_ended(product, called.call_id, Reason.HANG_UP)


def test_sipp_plays_two_forks_that_both_ring_and_answer(sipp: ScenarioTrunk, path: LossyPath | None) -> None:
    if path is not None:
        pytest.skip("SIPp takes a copy of one fork's BYE for the other fork's")
    product = sipp.product
    with sipp.playing("forked-invite", tones=[620], echo=False):
        call_id = product.create(fresh_number("01"), fresh_number())
        product.wait_status(call_id, "connected")
        wait_until(lambda: "b" in byes_to_forks(product, call_id), what="the BYE to the second fork")
        assert product.delete(call_id) == 204
    assert byes_to_forks(product, call_id) == ["b", "a"]
    assert product.event_states(call_id)[-2:] == ["connected", "disconnected"]


def byes_to_forks(product: Product, call_id: str) -> list[str]:
    messages = product.sip_messages(call_id)
    return [
        message.text.partition(";tag=fork-")[2][0]
        for message in messages
        if message.leg == "callee" and message.start_line.startswith("BYE")
    ]
