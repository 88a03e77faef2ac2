"""Torture messages, random damage to them and to messages of live dialogs, while two parties talk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import call
from tests.sip.torture.barrage import bombard, damaged_forgeries, damaged_messages, repeatable, sabotage
from tests.sip.torture.forgery import in_dialog
from tests.sip.torture.messages import RFC4475, RFC5118
from tests.sip.torture.stranger import Stranger
from tests.sip.torture.watched_calls import WatchedCall, watched_call
from tests.support.sip_trunk import SipTrunk

pytestmark = pytest.mark.paths("direct")
"""Strangers talk to the engine itself, from addresses of their own."""

RATE = 2000.0
"""Messages per second."""
ALIVE, REFUSED, UNKNOWN_DIALOG, DROPPED = 200, 403, 481, None
"""OPTIONS; what nobody may ask of us; a dialog that there is not; what cannot be read, and responses."""
ANSWERS: dict[str, int | None] = {
    # RFC 4475, section 3.1.1: valid messages
    "wsinv": UNKNOWN_DIALOG,
    "intmeth": REFUSED,
    "esc01": REFUSED,
    "escnull": REFUSED,
    "esc02": REFUSED,
    "lwsdisp": ALIVE,
    "longreq": REFUSED,
    "dblreq": REFUSED,
    "semiuri": ALIVE,
    "transports": ALIVE,
    "mpart01": REFUSED,
    "unreason": DROPPED,
    "noreason": DROPPED,
    # 3.1.2: invalid messages
    "badinv01": DROPPED,
    "clerr": REFUSED,
    "ncl": DROPPED,
    "scalar02": DROPPED,
    "scalarlg": DROPPED,
    "quotbal": DROPPED,
    "ltgtruri": DROPPED,
    "lwsruri": DROPPED,
    "lwsstart": REFUSED,
    "trws": ALIVE,
    "escruri": REFUSED,
    "baddate": REFUSED,
    "regbadct": DROPPED,
    "badaspec": ALIVE,
    "baddn": ALIVE,
    "badvers": DROPPED,
    "mismatch01": ALIVE,
    "mismatch02": REFUSED,
    "bigcode": DROPPED,
    # 3.2: transaction layer semantics
    "badbranch": ALIVE,
    # 3.3: application-layer semantics
    "insuf": DROPPED,
    "unkscm": DROPPED,
    "novelsc": DROPPED,
    "unksm2": REFUSED,
    "bext01": ALIVE,
    "invut": REFUSED,
    "regaut01": DROPPED,
    "multi01": REFUSED,
    "mcl01": ALIVE,
    "bcast": DROPPED,
    "zeromf": ALIVE,
    "cparam01": REFUSED,
    "cparam02": REFUSED,
    "regescrt": REFUSED,
    "sdp01": REFUSED,
    # 3.4: backward compatibility
    "inv2543": REFUSED,
    # RFC 5118: IPv6
    "ipv6-good": REFUSED,
    "ipv6-bad": DROPPED,
    "port-ambiguous": REFUSED,
    "port-unambiguous": REFUSED,
    "via-received-param-with-delim": UNKNOWN_DIALOG,
    "via-received-param-no-delim": ALIVE,
    "ipv6-in-sdp": REFUSED,
    "mult-ip-in-header": DROPPED,
    "mult-ip-in-sdp": REFUSED,
    "ipv4-mapped-ipv6": DROPPED,
    "ipv6-bug-abnf-3-colons": ALIVE,
    "ipv6-correct-abnf-2-colons": ALIVE,
}


@pytest.fixture(scope="module")
def talk(product: Product, trunk: SipTrunk) -> Iterator[WatchedCall]:
    """One call that is up all the time, and undisturbed at the end."""
    with watched_call(product, trunk) as watched:
        yield watched
        watched.let_them_talk(0.5)
        assert not watched.faults()


@pytest.fixture
def stranger(product: Product) -> Iterator[Stranger]:
    with Stranger(product.engine_sip_port()) as sender:
        yield sender


@pytest.mark.parametrize("name", ANSWERS)
def test_each_torture_message_gets_the_answer_it_deserves(
    talk: WatchedCall, stranger: Stranger, name: str
) -> None:
    answers = stranger.answers_to((RFC4475 | RFC5118)[name])
    expected = ANSWERS[name]
    assert [answer.status for answer in answers] == ([] if expected is DROPPED else [expected])
    assert talk.talk.product.engine.exit_status() is None


def test_no_torture_message_is_forgotten() -> None:
    assert ANSWERS.keys() == RFC4475.keys() | RFC5118.keys()


def test_random_damage_to_torture_messages_disturbs_no_call(
    product: Product, talk: WatchedCall, stranger: Stranger
) -> None:
    talk.watch()
    log_before = product.engine.log.stat().st_size
    assert bombard(stranger, damaged_messages(repeatable(4475), 4000), RATE) == 4000
    talk.let_them_talk(0.3)
    assert not talk.faults()
    assert sum(stranger.answers().values()) > 100  # some were still fit to be answered
    assert product.engine_status().dialogs == 2  # those of the parties
    assert product.engine.log.stat().st_size - log_before < 200_000


def test_forged_messages_of_a_live_dialog_disturb_no_call(
    product: Product, talk: WatchedCall, stranger: Stranger
) -> None:
    """With the right tags: too late by their CSeq, or of another dialog by one tag, and damaged."""
    talk.watch()
    forgeries = damaged_forgeries(repeatable(3261), stranger, [talk], 3000)
    assert bombard(stranger, forgeries, RATE) == 3000
    talk.let_them_talk(0.3)
    assert not talk.faults()
    answers = stranger.answers()
    assert answers[500] > 100  # RFC 3261, section 12.2.2: the CSeq is out of order
    assert answers[481] > 100
    assert product.engine_status().dialogs == 2


def test_phones_that_talk_nonsense_end_at_most_their_own_calls(
    product: Product, trunk: SipTrunk, talk: WatchedCall, stranger: Stranger
) -> None:
    talk.watch()
    call_ids = sabotage(product, trunk, stranger, repeatable(3264), 60)
    for call_id in call_ids:
        product.wait_ended(call_id)
        states = product.event_states(call_id)
        assert sum(state in ("disconnected", "failed") for state in states) == 1, states
        product.sip_messages(call_id)  # whatever their octets were
    talk.let_them_talk(0.3)
    assert not talk.faults()


def test_octets_that_are_no_utf_8_reach_the_trace_as_replacements(
    product: Product, trunk: SipTrunk, talk: WatchedCall
) -> None:
    """As in a display name in Latin-1: what cannot be written once ended the engine."""
    called = call(product, trunk, "caller")
    ringing = called.phone.respond("180 Ringing", 'Alert-Info: "M?ller"').text
    damaged = ringing.encode().replace(b"M?ller", "Müller".encode("latin-1"))
    trunk.socket.sendto(damaged, called.phone.address)
    called.phone.respond("486 Busy Here")
    product.wait_ended(called.call_id)
    texts = [message.text for message in product.sip_messages(called.call_id)]
    assert any("M\ufffdller" in text for text in texts)
    assert not talk.faults()


def test_an_invite_in_a_dialog_that_has_ended_is_answered(
    product: Product, trunk: SipTrunk, stranger: Stranger
) -> None:
    """It may cross our BYE; without a final response its dialog would never leave the memory."""
    number = fresh_number()
    call_id = product.create(number, fresh_number())
    phone = trunk.ringing_at(number)
    phone.respond("180 Ringing")
    phone.respond("486 Busy Here")
    product.wait_ended(call_id)
    late = in_dialog(phone, "INVITE", cseq=1, host=stranger.host)
    assert [answer.status for answer in stranger.answers_to(late)] == [481]
