"""Hostile traffic by the thousand, at a steady rate: for the tests, and for `make torture`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import islice
from random import Random
from time import monotonic

from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.torture.forgery import forged, is_harmless, use_up_cseq
from tests.sip.torture.malformed_media import MediaNoise, MediaStranger
from tests.sip.torture.messages import RFC4475, RFC5118
from tests.sip.torture.mutations import Mutator
from tests.sip.torture.sabotage import Saboteur, answer_properly
from tests.sip.torture.stranger import Stranger
from tests.sip.torture.watched_calls import WatchedCall
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import SipTrunk

FENCE_EVERY = 50
"""Messages after which the engine must answer an OPTIONS: it is alive, and its socket never overflows."""
_never = threading.Event()


class Pace:
    """So many times a second, whatever happens between two of them."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._due = monotonic()

    def wait(self) -> None:
        self._due += self._interval
        _never.wait(max(0.0, self._due - monotonic()))


def repeatable(seed: int) -> Random:
    """The same numbers each time: what fails once must fail again."""
    return Random(seed)  # noqa: S311 - no secret


def torture_messages() -> list[bytes]:
    return [*RFC4475.values(), *RFC5118.values()]


def bombard(stranger: Stranger, messages: Iterable[bytes], rate: float) -> int:
    """How many were sent. Raises AssertionError when the engine does not answer OPTIONS any more."""
    pace = Pace(rate)
    count = 0
    for count, message in enumerate(messages, start=1):
        stranger.send(message)
        if count % FENCE_EVERY == 0:
            assert stranger.fence(), f"no answer after {count} messages, the last {message[:300]!r}"
        pace.wait()
    assert stranger.fence(), f"no answer after all {count} messages"
    return count


def damaged_messages(random: Random, count: int) -> Iterable[bytes]:
    """Of the torture messages."""
    return islice(iter(Mutator(random, torture_messages()).next, None), count)


def damaged_forgeries(
    random: Random, stranger: Stranger, calls: Sequence[WatchedCall], count: int
) -> Iterable[bytes]:
    """Of messages with the Call-IDs and tags of these calls' dialogs, each whole before damaged ones."""
    phones = [phone for call in calls for phone in call.phones]
    for phone in phones:
        use_up_cseq(phone)
    whole = [message for phone in phones for message in forged(phone, stranger.host)]
    damaged = (m for m in iter(Mutator(random, whole).next, None) if is_harmless(phones, m))
    return islice((message for part in (whole, damaged) for message in part), count)


def sabotage(product: Product, trunk: SipTrunk, stranger: Stranger, random: Random, calls: int) -> list[str]:
    """Calls whose phones talk nonsense; the ids of those calls, which have ended or been deleted.

    Raises AssertionError when the engine does not answer OPTIONS any more.
    """
    saboteur = Saboteur(random, stranger)
    call_ids = []
    for _ in range(calls):
        numbers = fresh_number(), fresh_number()
        call_id = product.create(*numbers)
        call_ids.append(call_id)
        caller = trunk.ringing_at(numbers[0])
        saboteur.respond(caller, random.choice((0, 1, 3)))
        answer_properly(caller)
        assert stranger.fence()
        for callee in trunk.find(numbers[1])[:1]:
            saboteur.respond(callee, random.choice((0, 1, 3)))
            answer_properly(callee)
            saboteur.request(callee, random.choice((0, 3, 8)))
        saboteur.request(caller, random.choice((0, 3, 8)))
        assert stranger.fence(), f"no answer after call {call_id}"
        product.delete(call_id)
    return call_ids


def media_noise(
    random: Random, stranger: MediaStranger, calls: Sequence[WatchedCall], count: int, rate: float
) -> int:
    """How many datagrams of RTP and RTCP were sent to both legs of these calls, by a stranger."""
    noise, pace = MediaNoise(random), Pace(rate)
    addresses = [phone.offer.address for call in calls for phone in call.phones]
    for number in range(count):
        address, rtcp = addresses[number // 2 % len(addresses)], number % 2 == 1
        stranger.send(noise.rtcp() if rtcp else noise.rtp(), address, rtcp=rtcp)
        pace.wait()
    return count


def own_media_noise(random: Random, peers: Sequence[RtpPeer], count: int, rate: float) -> int:
    """The same from the parties' own addresses."""
    noise, pace = MediaNoise(random), Pace(rate)
    for number in range(count):
        rtcp = number % 2 == 1
        peers[number // 2 % len(peers)].send_raw(noise.rtcp() if rtcp else noise.rtp(), rtcp=rtcp)
        pace.wait()
    return count
