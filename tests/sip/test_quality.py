"""What a call's record says of the audio of each leg, during the call and when it is over."""

from __future__ import annotations

import struct
import threading
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from state.cdr import CallDetailRecord, CallDetailRecords
from state.keys import Keys
from state.quality import LegQuality
from tests.end_to_end.product import Product
from tests.sip import g722
from tests.sip.talk import Talk, only, talking
from tests.support.rtp import write_packet
from tests.support.rtp_peer import PCMA, RtpPeer
from tests.support.sdp import PCMA as PCMA_FORMAT
from tests.support.sdp import Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

SENDER_REPORT, RECEIVER_REPORT = 200, 201
"""RTCP packet types (RFC 3550, section 12.1)."""
BEST = 4.3
"""The least that G.711 gets without loss, and with no more delay than a jitter buffer's."""


@pytest.fixture(scope="module")
def overrides(request: pytest.FixtureRequest) -> Overrides:
    """A test may choose `trunk.codecs`."""
    codecs = {"trunk": {"codecs": request.param}} if hasattr(request, "param") else {}
    return {"quality": {"interval": 0.2}, **codecs}


def quality(talk: Talk, leg: str) -> LegQuality:
    call = talk.product.call(talk.call_id)
    measured = call.caller_quality if leg == "caller" else call.callee_quality
    assert measured is not None
    return measured


async def records(redis: Redis, keys: Keys) -> list[CallDetailRecord]:
    now = datetime.now(UTC)
    period = now - timedelta(days=1), now + timedelta(days=1)
    return [record async for record in CallDetailRecords(redis, keys).between(*period)]


def wait_received(talk: Talk, leg: str, packets: int) -> LegQuality:
    """As sampled during the call."""

    def received() -> int:
        call = talk.product.call(talk.call_id)
        measured = call.caller_quality if leg == "caller" else call.callee_quality
        return measured.packets_received if measured else 0

    wait_until(lambda: received() >= packets, 20, f"{packets} packets of the {leg}")
    return quality(talk, leg)


@pytest.mark.usefixtures("nothing_lost")
def test_it_is_measured_during_the_call_and_once_more_at_its_end(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer() as callee, talking(product, trunk, caller, callee) as talk:
        first = wait_received(talk, "caller", 25)
        second = wait_received(talk, "caller", first.packets_received + 25)
        talk.end()
        final = quality(talk, "caller")
        assert final.packets_received >= second.packets_received
        assert caller.sent - 10 <= final.packets_received <= caller.sent
        assert (final.codec, final.clock_rate) == ("PCMU", 8000)
        assert (final.packets_lost, final.packets_discarded) == (0, 0)
        assert final.mos is not None
        assert final.mos > BEST
        assert final.packets_sent >= len(caller.packets()) - 10
        # A party that has sent nothing has no quality to judge.
        silent = quality(talk, "callee")
        assert (silent.packets_received, silent.mos, silent.round_trip_ms) == (0, None, None)
        assert silent.packets_sent > 0


@pytest.mark.usefixtures("nothing_lost")
@pytest.mark.parametrize("overrides", [["G722", "PCMU"]], indirect=True, ids=["wideband"])
def test_a_wideband_leg_is_judged_by_the_wideband_model(product: Product, trunk: SipTrunk) -> None:
    """G.107.1: G.722 takes 13 points of 129 (4.34), not of the narrowband scale's 93 (4.03)."""
    speech = {g722.PAYLOAD_TYPE: g722.tones(1000, 6000)}
    with (
        RtpPeer(encoded=speech, codec=g722.PAYLOAD_TYPE) as caller,
        RtpPeer(1000) as callee,
        talking(product, trunk, caller, callee, caller_sdp=only("G722"), callee_sdp=only("PCMU")) as talk,
    ):
        wide, narrow = (wait_received(talk, leg, 100) for leg in ("caller", "callee"))
    assert (wide.codec, wide.clock_rate) == ("G722", 16_000)
    assert (narrow.codec, narrow.clock_rate) == ("PCMU", 8000)
    # A delay of less than 100 ms costs a wideband call nothing.
    assert wide.mos == pytest.approx(4.34, abs=0.02)
    assert narrow.mos is not None
    assert narrow.mos > BEST


@pytest.mark.usefixtures("nothing_lost")
def test_loss_is_counted_and_costs_points(product: Product, trunk: SipTrunk) -> None:
    with (
        RtpPeer(440, loss=0.1) as caller,
        RtpPeer(1000) as callee,
        talking(product, trunk, caller, callee) as talk,
    ):
        lossy = wait_received(talk, "caller", 150)
        clean = wait_received(talk, "callee", 150)
        assert clean.packets_lost == 0
        share = lossy.packets_lost / (lossy.packets_lost + lossy.packets_received)
        assert share == pytest.approx(0.1, abs=0.06)
        assert lossy.mos is not None
        assert clean.mos is not None
        # G.107: 10 % of random loss cost G.711 some 27 points of the rating.
        assert 2.5 < lossy.mos < clean.mos - 0.5


@pytest.mark.usefixtures("nothing_lost")
def test_jitter_is_measured(product: Product, trunk: SipTrunk) -> None:
    with (
        RtpPeer(440, jitter=40) as caller,
        RtpPeer(1000) as callee,
        talking(product, trunk, caller, callee) as talk,
    ):
        late, even = (wait_received(talk, leg, 150).jitter_ms for leg in ("caller", "callee"))
        # Two packets that are late by up to 40 ms each are 13 ms apart on average.
        assert late == pytest.approx(13, abs=7)
        assert late > even


@pytest.mark.usefixtures("nothing_lost")
def test_what_the_jitter_buffer_throws_away_is_counted(product: Product, trunk: SipTrunk) -> None:
    """Two seconds of audio that come at once: nothing is lost, but most of it cannot be played."""
    with RtpPeer() as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        caller.wait_for_audio()
        for number in range(100):
            packet = write_packet(0, b"\x55" * 160, sequence=number, timestamp=160 * number, ssrc=0xB00)
            caller.send_raw(packet)
        burst = wait_received(talk, "caller", 100)
        assert burst.packets_lost == 0
        assert burst.packets_discarded > 10
        assert burst.mos is not None
        assert burst.mos < BEST


def test_the_round_trip_is_known_from_the_party_s_reports(product: Product, trunk: SipTrunk) -> None:
    """RFC 3550, section 6.4.1: now, minus when our report left, minus how long the party kept it."""
    took, kept = 0.25, 0.1
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        while (report := caller.receive_rtcp())[1] != SENDER_REPORT:
            pass
        sender, seconds, fraction = struct.unpack("!III", report[4:16])
        threading.Event().wait(took)
        last_report = (seconds & 0xFFFF) << 16 | fraction >> 16
        block = struct.pack("!IIIIII", sender, 0, 100, 0, last_report, round(kept * 65536))
        caller.send_raw(struct.pack("!BBHI", 0x81, RECEIVER_REPORT, 7, 0xCA11E) + block, rtcp=True)
        wait_until(lambda: quality(talk, "caller").round_trip_ms, what="a round trip")
        measured = quality(talk, "caller")
        assert measured.round_trip_ms is not None
        way = (took - kept) * 1000
        assert way - 5 <= measured.round_trip_ms < way + 500
        assert quality(talk, "callee").round_trip_ms is None
        talk.end()
        (written,) = (cdr for cdr in product.with_redis(records) if cdr.call_id == talk.call_id)
        assert written.caller_quality is not None
        assert written.caller_quality.round_trip_ms == measured.round_trip_ms


@pytest.mark.usefixtures("nothing_lost")
def test_the_counts_go_on_when_the_codec_changes(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        before = wait_received(talk, "callee", 50)
        assert before.codec == "PCMU"
        assert talk.callee.reinvite(Sdp(callee.port, (PCMA_FORMAT,))).status == 200
        callee.codec = PCMA
        wait_until(lambda: quality(talk, "callee").codec == "PCMA")
        after = wait_received(talk, "callee", before.packets_received + 50)
        assert after.packets_sent > before.packets_sent
        talk.end()
        assert callee.sent - 20 <= quality(talk, "callee").packets_received <= callee.sent
