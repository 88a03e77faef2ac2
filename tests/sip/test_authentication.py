"""The trunk asks who we are: digest authentication of INVITE and BYE (RFC 3261, section 22; RFC 8760)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.end_to_end.product import Product
from tests.sip.calls import Called, assert_ended, call, cause, connect
from tests.support.digest import Challenge
from tests.support.sip_client import SipText
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

USERNAME, PASSWORD = "acme-trunk", "secret-of-the-trunk"
ATTEMPTS = 4
"""INVITEs of one leg at most: without credentials, and with those for three nonces."""
LEGS = pytest.mark.parametrize("leg", ["caller", "callee"])


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {
        "trunk.credentials": {"username": USERNAME, "password": PASSWORD},
        "sip": {"log_level": 5},
        "log": {"level": "debug"},
    }


def challenge(called: Called, *challenges: Challenge, count: int = 2) -> SipText:
    """The INVITE number `count`, which answers these."""
    status = challenges[0].status
    words = "401 Unauthorized" if status == 401 else "407 Proxy Authentication Required"
    called.phone.respond(words, *(asked.header for asked in challenges))
    return called.phone.wait_for("INVITE", count=count)


def end(product: Product, called: Called) -> None:
    """The phone that asked answers at last, and the client ends the call."""
    called.phone.answer()
    product.wait_status(called.call_id, "callingCallee" if called.leg == "caller" else "connected")
    assert product.delete(called.call_id) == 204
    called.phone.wait_for("BYE")


@LEGS
@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", ["auth", None])
def test_an_invite_is_sent_again_with_what_the_trunk_asked_for(
    product: Product, trunk: SipTrunk, leg: str, status: int, algorithm: str, qop: str | None
) -> None:
    called = call(product, trunk, leg)
    first, asked = called.phone.invite, Challenge(status, algorithm, qop)
    again = challenge(called, asked)
    assert asked.is_met_by(again, USERNAME, PASSWORD)
    assert (again.header("Call-ID"), again.cseq) == (first.header("Call-ID"), first.cseq + 1)
    assert again.tag("From") == first.tag("From")
    end(product, called)


def test_of_two_algorithms_the_first_is_answered(product: Product, trunk: SipTrunk) -> None:
    """RFC 8760, section 2.4: that is the one which the trunk prefers."""
    called = call(product, trunk, "callee")
    better = Challenge(algorithm="SHA-256")
    again = challenge(called, better, replace(better, algorithm="MD5"))
    assert better.is_met_by(again, USERNAME, PASSWORD)
    assert len(again.headers("Authorization")) == 1
    end(product, called)


def test_a_trunk_and_a_network_behind_it_may_both_ask(product: Product, trunk: SipTrunk) -> None:
    called = call(product, trunk, "callee")
    near, far = Challenge(407, realm="trunk.example"), Challenge(401, "SHA-256", realm="far.example")
    assert near.is_met_by(challenge(called, near), USERNAME, PASSWORD)
    both = challenge(called, far, count=3)
    assert far.is_met_by(both, USERNAME, PASSWORD)
    end(product, called)


@LEGS
def test_a_stale_nonce_is_replaced(product: Product, trunk: SipTrunk, leg: str) -> None:
    called = call(product, trunk, leg)
    challenge(called, Challenge())
    fresh = Challenge(is_stale=True)
    assert fresh.is_met_by(challenge(called, fresh, count=3), USERNAME, PASSWORD)
    end(product, called)


@LEGS
@pytest.mark.parametrize("status", [401, 407])
def test_credentials_that_the_trunk_refuses_are_a_failure_and_no_loop(
    product: Product, trunk: SipTrunk, leg: str, status: int
) -> None:
    called, asked = call(product, trunk, leg), Challenge(status)
    challenge(called, asked)
    called.phone.respond(f"{status} Not You", asked.header)
    assert_ended(product, called.call_id, called.reason("Failure"))
    if leg == "callee":
        assert cause(called.caller, "BYE") == "Q.850;cause=21"
    called.phone.wait_for("ACK", count=2)
    assert len(called.phone.received("INVITE")) == 2


@pytest.mark.parametrize("is_stale", [True, False])
def test_a_trunk_that_always_wants_another_nonce_is_given_up(
    product: Product, trunk: SipTrunk, is_stale: bool
) -> None:
    """Some forget to say `stale` when the nonce has changed; so a new nonce is tried, but not for ever."""
    called = call(product, trunk, "caller")
    for count in range(2, ATTEMPTS + 1):
        challenge(called, Challenge(is_stale=is_stale), count=count)
    called.phone.respond("401 Unauthorized", Challenge(is_stale=is_stale).header)
    assert_ended(product, called.call_id, called.reason("Failure"))
    called.phone.wait_for("ACK", count=ATTEMPTS)
    assert len(called.phone.received("INVITE")) == ATTEMPTS


@LEGS
def test_a_challenge_we_cannot_answer_is_a_failure(product: Product, trunk: SipTrunk, leg: str) -> None:
    called = call(product, trunk, leg)
    called.phone.respond("401 Unauthorized", 'WWW-Authenticate: Digest realm="x", nonce="y", algorithm=SHA-1')
    assert_ended(product, called.call_id, called.reason("Failure"))
    assert len(called.phone.received("INVITE")) == 1


@LEGS
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_bye_that_is_challenged_is_sent_again_with_credentials(
    product: Product, trunk: SipTrunk, leg: str, algorithm: str
) -> None:
    """The call is over for the client by then, and pjsua2's part of it is gone."""
    talk = connect(product, trunk)
    phone = talk.phone(leg)
    phone.answers_bye = False
    talk.end()
    product.wait_idle()
    asked = Challenge(407, algorithm)
    phone.respond_to(phone.wait_for("BYE"), "407 Proxy Authentication Required", asked.header)
    again = phone.wait_for("BYE", count=2)
    assert asked.is_met_by(again, USERNAME, PASSWORD)
    phone.respond_to(again, "200 OK")


def test_the_password_is_in_no_log(product: Product, trunk: SipTrunk) -> None:
    called = call(product, trunk, "callee")
    challenge(called, Challenge())
    end(product, called)
    logs = [process.log.read_text() for process in product.processes]
    assert not [log for log in logs if PASSWORD in log]
