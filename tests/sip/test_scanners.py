"""Strangers who look for a way in: refused, and nothing is kept of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.end_to_end.product import Product
from tests.sip.calls import connect
from tests.sip.torture.barrage import bombard
from tests.sip.torture.stranger import Stranger
from tests.support.sdp import PCMU, Sdp
from tests.support.sip_trunk import SipTrunk

pytestmark = pytest.mark.paths("direct")
"""Strangers talk to the engine itself, from addresses of their own."""

SCANNER = "User-Agent: friendly-scanner"
OFFER = ("Content-Type: application/sdp",)
SDP = Sdp(9, (PCMU,)).text
MANY = 2000
RATE = 2000.0
"""Requests per second."""


@pytest.fixture
def stranger(product: Product) -> Iterator[Stranger]:
    with Stranger(product.engine_sip_port()) as sender:
        yield sender


@pytest.mark.parametrize(
    "method",
    [
        "INVITE",
        "REGISTER",
        "SUBSCRIBE",
        "MESSAGE",
        "NOTIFY",
        "REFER",
        "PUBLISH",
        "INFO",
        "UPDATE",
        "PRACK",
        "FOO",
    ],
)
def test_whatever_a_stranger_asks_for_is_refused_at_once(stranger: Stranger, method: str) -> None:
    headers = {
        "INVITE": OFFER,
        "SUBSCRIBE": ("Event: presence", "Expires: 3600"),
        "NOTIFY": ("Event: message-summary", "Subscription-State: active"),
        "REFER": ("Refer-To: <sip:+441632960961@127.0.0.1>",),
    }
    body = SDP if method == "INVITE" else ""
    request = stranger.request(method, uuid4().hex, SCANNER, *headers.get(method, ()), body=body)
    answers = stranger.answers_to(request.encode())
    assert [answer.start_line for answer in answers] == ["SIP/2.0 403 Forbidden"]


def test_options_is_answered_so_that_the_trunk_knows_we_are_alive(stranger: Stranger) -> None:
    answers = stranger.answers_to(stranger.request("OPTIONS", uuid4().hex, SCANNER).encode())
    assert [answer.status for answer in answers] == [200]


@pytest.mark.parametrize("method", ["BYE", "CANCEL"])
def test_who_would_end_a_call_that_there_is_not_is_told_so(stranger: Stranger, method: str) -> None:
    request = stranger.request(method, uuid4().hex)
    if method == "BYE":
        request = request.replace("\r\nCall-ID", ";tag=guessed\r\nCall-ID")
    assert [answer.status for answer in stranger.answers_to(request.encode())] == [481]


@pytest.mark.parametrize("method", ["ACK", "SIP/2.0 200 OK"])
def test_what_must_not_be_answered_is_not(stranger: Stranger, method: str) -> None:
    request = stranger.request("ACK", uuid4().hex)
    if method != "ACK":
        request = method + request.partition(" SIP/2.0")[2]
    assert not stranger.answers_to(request.encode())


def test_an_invite_that_would_replace_a_party_is_refused(
    product: Product, trunk: SipTrunk, stranger: Stranger
) -> None:
    """RFC 3891, even by one who knows the dialog."""
    talk = connect(product, trunk)
    invite = talk.caller.invite
    replaces = f"{invite.header('Call-ID')};to-tag={invite.tag('From')};from-tag={talk.caller.tag}"
    request = stranger.request("INVITE", uuid4().hex, f"Replaces: {replaces}", *OFFER, body=SDP)
    assert [answer.status for answer in stranger.answers_to(request.encode())] == [403]
    assert product.status(talk.call_id) == "connected"
    talk.end()


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "SUBSCRIBE"])
def test_a_scan_leaves_no_dialog_socket_or_memory(
    product: Product, trunk: SipTrunk, stranger: Stranger, method: str
) -> None:
    """Nobody acknowledges the refusals, so a transaction would stay for 32 s (RFC 3261, timer H)."""
    talk = connect(product, trunk)
    sockets = sorted(product.engine.open_files())
    memory = resident_kb(product.engine.pid)
    headers = OFFER if method == "INVITE" else ("Event: presence", "Expires: 3600")
    body = SDP if method == "INVITE" else ""
    requests = (
        stranger.request(method, uuid4().hex, SCANNER, *headers, body=body).encode() for _ in range(MANY)
    )
    bombard(stranger, requests, RATE)
    assert stranger.answers()[403] == MANY
    assert sorted(product.engine.open_files()) == sockets
    assert resident_kb(product.engine.pid) - memory < 5_000
    assert product.engine_status().dialogs < MANY / 100  # those of this call and of former tests
    assert product.status(talk.call_id) == "connected"
    talk.end()


def test_a_response_goes_back_to_who_asked_whatever_maddr_says(stranger: Stranger) -> None:
    """Or anybody could have us send to anybody, and wait for the name server that should know the host."""
    request = stranger.request("OPTIONS", uuid4().hex).replace(";branch", ";maddr=127.255.255.254;branch")
    assert [answer.status for answer in stranger.answers_to(request.encode())] == [200]


def resident_kb(pid: int) -> int:
    """Resident set of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])
