"""3xx: followed, on both legs, to where the call could have gone in the first place, and nowhere else."""

from __future__ import annotations

import re
from contextlib import ExitStack

import httpx2
import pytest

from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import Called, assert_ended, call, cause, ring
from tests.sip.conftest import StartProduct
from tests.sip.heard import assert_never_two_and_never_silent, heard, stations
from tests.sip.waiting_caller import RINGBACK, SECOND, TONES, waiting_caller
from tests.support.lossy_path import LossyPath
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import BLACKLISTED, ENTERPRISE_NUMBER, NOT_RECORDED, Overrides
from tests.support.waiting import wait_until

MAX_REDIRECTS = 2
PREMIUM, SATELLITE, EMERGENCY = "+449012345678", "+881612345678", "+44999"
DENIED_BY_PLATFORM, DENIED_BY_ENTERPRISE, ABROAD = "+5371234567", "+4930123456", "+33112345678"
LEGS = pytest.mark.parametrize("leg", ["caller", "callee"])
NAMING = ("Diversion", "History-Info", "Referred-By", "P-Preferred-Identity", "Remote-Party-ID")
"""Headers in which others say who forwarded a call."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    return {
        "call": {"max_redirects": MAX_REDIRECTS},
        "ringback": RINGBACK,
        "policy": {"deny": ["+53"]},
        "enterprises": {"acme": {"policy": {"deny": ["+49"], "countries": ["GB", "DE", "CU"]}}},
    }


def redirect(called: Called, *contacts: str, status: str = "302 Moved Temporarily") -> None:
    called.phone.respond(status, *(f"Contact: {contact}" for contact in contacts))
    called.phone.wait_for("ACK")


def assert_not_followed(product: Product, called: Called) -> None:
    assert_ended(product, called.call_id, called.reason("Failure"))
    if called.leg == "callee":
        assert cause(called.caller, "BYE") == "Q.850;cause=31"


def end(product: Product, called: Called, phone: Phone) -> None:
    """The redirected party answers, and the client ends the call."""
    phone.answer()
    state = "callingCallee" if called.leg == "caller" else "connected"
    product.wait_status(called.call_id, state)
    assert product.delete(called.call_id) == 204
    phone.wait_for("BYE")


@LEGS
def test_a_redirection_is_a_new_invite_that_names_nobody_but_the_enterprise(
    product: Product, trunk: SipTrunk, leg: str
) -> None:
    called, target = call(product, trunk, leg), fresh_number()
    redirect(called, f"<sip:{target}@127.0.0.1:{trunk.port}>")
    phone = trunk.ringing_at(target)
    for header in ("From", "P-Asserted-Identity"):
        assert f"sip:{ENTERPRISE_NUMBER}@" in phone.invite.header(header)
    assert not [name for name in NAMING if phone.invite.has(name)]
    numbers = {called.phone.number, called.caller.number}
    assert not [number for number in numbers if number in phone.invite.text]
    end(product, called, phone)
    traced = [m for m in product.sip_messages(called.call_id) if m.leg == leg]
    invites = [m.text for m in traced if m.direction == "sent" and m.start_line.startswith("INVITE")]
    assert [text.split()[1] for text in dict.fromkeys(invites)] == [
        f"sip:{number}@127.0.0.1:{trunk.port}" for number in (called.phone.number, target)
    ]
    assert called.phone.invite.header("Call-ID") != phone.invite.header("Call-ID")


@pytest.mark.parametrize("status", ["300 Multiple Choices", "301 Moved Permanently", "305 Use Proxy"])
def test_every_3xx_that_names_a_number_is_followed(product: Product, trunk: SipTrunk, status: str) -> None:
    called, target = call(product, trunk, "callee"), fresh_number()
    redirect(called, f"<sip:{target}@127.0.0.1:{trunk.port}>", status=status)
    end(product, called, trunk.ringing_at(target))


def test_a_redirection_after_ringing_and_early_media_is_followed(product: Product, trunk: SipTrunk) -> None:
    called, target = call(product, trunk, "callee"), fresh_number()
    called.phone.respond("183 Session Progress", rtp_port=9)
    redirect(called, f"<sip:{target}@127.0.0.1:{trunk.port}>")
    end(product, called, trunk.ringing_at(target))


def test_ringback_takes_over_from_early_media_until_the_new_phone_has_some_of_its_own(
    product: Product, trunk: SipTrunk, path: LossyPath | None
) -> None:
    with ExitStack() as stack:
        ear, first, second = (stack.enter_context(RtpPeer(TONES[name])) for name in "cet")
        call = stack.enter_context(waiting_caller(product, trunk, ear))
        first.remote = call.callee.offer.address
        call.callee.respond("183 Session Progress", rtp_port=first.port)
        ear.wait_for_more_audio(packets=SECOND)
        target = fresh_number()
        call.callee.respond("302 Moved Temporarily", f"Contact: <sip:{target}@127.0.0.1>")
        phone = trunk.ringing_at(target)
        ear.wait_for_more_audio(packets=SECOND)
        second.remote = phone.offer.address
        phone.respond("183 Session Progress", rtp_port=second.port)
        ear.wait_for_more_audio(packets=SECOND)
        text = heard(ear.samples(), **TONES)
    assert stations(text).removeprefix("r") == "ert"
    assert_never_two_and_never_silent(text, path)


@LEGS
@pytest.mark.parametrize(
    "uri",
    [
        "<sip:{number}@127.0.0.1>",
        "<sip:{number};phone-context=example.com@127.0.0.1;user=phone?Subject=x>",
        "sip:{number}@127.0.0.1;q=0.5",
        '"Somebody, else" <sip:{number}@127.0.0.1>;q=0.5',
        "<tel:{number}>",
        "<tel:{number};phone-context=+44>;q=0.7",
    ],
)
def test_a_number_is_found_in_each_kind_of_contact(
    product: Product, trunk: SipTrunk, leg: str, uri: str
) -> None:
    called, target = call(product, trunk, leg), fresh_number()
    redirect(called, uri.format(number=target))
    end(product, called, trunk.ringing_at(target))


@pytest.mark.parametrize("in_one_header", [True, False])
def test_the_permitted_contact_with_the_highest_q_is_dialled(
    product: Product, trunk: SipTrunk, in_one_header: bool
) -> None:
    """RFC 3261, 20.10; 8.1.3.4 recommends their order."""
    called, best, worst = call(product, trunk, "callee"), fresh_number(), fresh_number()
    contacts = [
        f"<sip:{worst}@127.0.0.1>;q=0.2",
        f"<sip:{BLACKLISTED}@127.0.0.1>;q=1.0",
        "<sip:voicemail@127.0.0.1>",
        f"<tel:{best}>;q=0.85",
        f"<sip:{fresh_number()}@192.0.2.1>;q=0.9",
    ]
    redirect(called, *([", ".join(contacts)] if in_one_header else contacts))
    end(product, called, trunk.ringing_at(best))
    assert not trunk.find(worst)


@LEGS
@pytest.mark.parametrize(
    "contacts",
    [
        [],
        ["*"],
        [f"<sip:{BLACKLISTED}@127.0.0.1>"],
        ["<sip:+447700900123@192.0.2.1>"],
        ["<sip:+447700900123@127.0.0.1.example.com>"],
        ["<sip:voicemail@127.0.0.1>"],
        ["<sip:00447700900123@127.0.0.1>"],
        ["<mailto:+447700900123@127.0.0.1>"],
        ["<tel:07700900123;phone-context=+44>"],
    ],
    ids=str,
)
def test_a_redirection_to_where_we_may_not_dial_is_a_failure(
    product: Product, trunk: SipTrunk, leg: str, contacts: list[str]
) -> None:
    called = call(product, trunk, leg)
    redirect(called, *contacts)
    assert_not_followed(product, called)
    assert not trunk.find("+447700900123")
    assert not trunk.find(BLACKLISTED)


def refusals(product: Product, rule: str, origin: str) -> float:
    labels = f'{{origin="{origin}",rule="{rule}",what="redirection"}}'
    for line in httpx2.get(f"{product.api_root}/metrics", trust_env=False).text.splitlines():
        if line.startswith(f"dialbridge_policy_refusals_total{labels} "):
            return float(line.split()[-1])
    return 0.0


@LEGS
@pytest.mark.parametrize(
    ("number", "rule", "origin"),
    [
        (PREMIUM, "number_class", "platform"),
        (SATELLITE, "country", "enterprise"),
        (EMERGENCY, "number_class", "platform"),
        (BLACKLISTED, "blacklist", "platform"),
        (DENIED_BY_PLATFORM, "prefix", "platform"),
        (DENIED_BY_ENTERPRISE, "prefix", "enterprise"),
        (ABROAD, "country", "enterprise"),
    ],
)
def test_a_number_that_could_not_have_been_asked_for_is_refused_with_its_rule(
    product: Product, trunk: SipTrunk, leg: str, number: str, rule: str, origin: str
) -> None:
    """Toll fraud by redirection."""
    assert product.post(fresh_number(), number).json()["code"] == "CALLEE_NOT_AVAILABLE"
    before = refusals(product, rule, origin)
    called = call(product, trunk, leg)
    redirect(called, f"<sip:{number}@127.0.0.1>")
    assert_not_followed(product, called)
    assert not trunk.find(number)
    wait_until(lambda: refusals(product, rule, origin) == before + 1, what="the refusal in the metric")
    lines = product.engine.log.read_text().splitlines()
    (line,) = [line for line in lines if "redirection_refused" in line and called.call_id in line]
    assert f"rule={rule}" in (plain := re.sub(r"\x1b\[[0-9;]*m", "", line))
    assert f"origin={origin}" in plain
    assert "enterprise_id=acme" in plain
    assert number not in line


@LEGS
@pytest.mark.parametrize("to", ["itself", "the other party"])
def test_a_redirection_to_a_party_of_the_call_is_a_failure(
    product: Product, trunk: SipTrunk, leg: str, to: str
) -> None:
    numbers = {"caller": fresh_number(), "callee": fresh_number()}
    called = call(product, trunk, leg, caller=numbers["caller"], callee=numbers["callee"])
    target = called.phone.number if to == "itself" else (set(numbers.values()) - {called.phone.number}).pop()
    redirect(called, f"<sip:{target}@127.0.0.1>")
    assert_not_followed(product, called)


@LEGS
def test_a_redirection_that_leads_back_is_a_failure(product: Product, trunk: SipTrunk, leg: str) -> None:
    called, target = call(product, trunk, leg), fresh_number()
    redirect(called, f"<sip:{target}@127.0.0.1>")
    again = trunk.ringing_at(target)
    again.respond("302 Moved Temporarily", f"Contact: <sip:{called.phone.number}@127.0.0.1>")
    assert_not_followed(product, called)
    assert len(trunk.find(called.phone.number)) == 1


@LEGS
def test_redirections_are_followed_until_the_limit(product: Product, trunk: SipTrunk, leg: str) -> None:
    called = call(product, trunk, leg)
    phone = called.phone
    for _ in range(MAX_REDIRECTS):
        target = fresh_number()
        phone.respond("302 Moved Temporarily", f"Contact: <sip:{target}@127.0.0.1>")
        phone = trunk.ringing_at(target)
    one_more = fresh_number()
    phone.respond("302 Moved Temporarily", f"Contact: <sip:{one_more}@127.0.0.1>")
    assert_not_followed(product, called)
    assert not trunk.find(one_more)


@pytest.mark.parametrize("recording", [True, False])
def test_a_recorded_call_is_not_redirected_to_where_recording_is_forbidden(
    product: Product, trunk: SipTrunk, recording: bool
) -> None:
    called = call(product, trunk, "callee", recording=recording)
    redirect(called, f"<sip:{NOT_RECORDED}@127.0.0.1>")
    if recording:
        assert_not_followed(product, called)
    else:
        end(product, called, trunk.ringing_at(NOT_RECORDED))


def test_a_call_that_the_client_ended_is_not_redirected(product: Product, trunk: SipTrunk) -> None:
    """The 302 crosses our CANCEL."""
    called, target = call(product, trunk, "callee"), fresh_number()
    called.phone.answers_cancel = False
    ring(product, called)
    assert product.delete(called.call_id) == 204
    called.phone.respond_to(called.phone.wait_for("CANCEL"), "200 OK")
    redirect(called, f"<sip:{target}@127.0.0.1>")
    product.wait_idle()
    assert not trunk.find(target)


def test_no_redirection_is_followed_where_the_limit_is_0(
    start_product: StartProduct, trunk: SipTrunk
) -> None:
    product = start_product({"call": {"max_redirects": 0}})
    for leg in ("caller", "callee"):
        called, target = call(product, trunk, leg), fresh_number()
        redirect(called, f"<sip:{target}@127.0.0.1>")
        assert_not_followed(product, called)
        assert not trunk.find(target)
