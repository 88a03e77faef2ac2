"""Hold and resume, by re-INVITE and by UPDATE: what each party hears meanwhile, and what is recorded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import soundfile

from state.call import DisconnectionReason, RecordingResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import PLAIN, Talk, talking
from tests.support.audio import RATE, has_tone, lacks_tone, longest_silence, tone, total_level
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import NO_ADDRESS, Direction, Sdp
from tests.support.sip_client import SipText
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import Overrides

CALLER_TONE, CALLEE_TONE, MUSIC = 440.0, 1000.0, 700.0
SETTLED = 0.2
"""Seconds after a change that a party may still hear what was on its way."""


@pytest.fixture(scope="module")
def overrides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Overrides:
    """The music is a tone, so that it can be told from the parties. A test may choose `call.hold`."""
    music = tmp_path_factory.mktemp("music") / "hold.wav"
    soundfile.write(music, tone(MUSIC, 1.0), RATE)
    return {"call": {"hold": getattr(request, "param", "music"), "hold_music": str(music)}}


@dataclass(frozen=True)
class Way:
    """How a phone asks for hold."""

    by: str
    direction: Direction = Direction.SENDRECV
    host: str = ""

    def __str__(self) -> str:
        return f"{self.by} {self.host or self.direction}"

    def ask(self, phone: Phone, sdp: Sdp) -> SipText:
        held = replace(sdp, direction=self.direction, host=self.host or sdp.host)
        return offer(phone, self.by, held)


WAYS = [
    Way("INVITE", Direction.SENDONLY),
    Way("INVITE", Direction.INACTIVE),
    Way("INVITE", host=NO_ADDRESS),  # RFC 3264, section 8.4: how RFC 2543 did it
    Way("UPDATE", Direction.SENDONLY),
    Way("UPDATE", Direction.INACTIVE),
]
ANSWERS = {
    Direction.SENDONLY: {Direction.RECVONLY},
    Direction.INACTIVE: {Direction.INACTIVE},
    Direction.SENDRECV: set(Direction),  # of c=0.0.0.0 it says nothing
}


def offer(phone: Phone, by: str, sdp: Sdp) -> SipText:
    answer = phone.reinvite(sdp) if by == "INVITE" else phone.update(sdp)
    assert answer.status == 200
    return answer


@dataclass(frozen=True)
class Party:
    phone: Phone
    rtp: RtpPeer
    tone: float

    @property
    def sdp(self) -> Sdp:
        return replace(PLAIN, port=self.rtp.port)

    def hears(self, tone: float, *, packets: int = 25) -> None:
        """From now on, once what was on its way is over, and nothing but this."""
        self.rtp.wait_for_more_audio(packets=round(SETTLED / 0.02))
        since = self.rtp.wait_for_more_audio(packets=packets)
        samples = self.rtp.samples(since=since)
        assert has_tone(samples, tone)
        # Several packets in a row may get lost on the lossy path.
        assert longest_silence(samples) < (0.12 if self.rtp.missing_sequences() else 0.06)
        for other in {CALLER_TONE, CALLEE_TONE, MUSIC} - {tone}:
            assert lacks_tone(samples, other)

    def hears_silence(self) -> None:
        self.rtp.wait_for_more_audio(packets=round(SETTLED / 0.02))
        since = self.rtp.wait_for_more_audio(packets=25)
        assert total_level(self.rtp.samples(since=since)) < -60

    def resume(self, by: str = "INVITE") -> None:
        assert offer(self.phone, by, self.sdp).sdp.direction is Direction.SENDRECV


@pytest.fixture
def rtp() -> Iterator[tuple[RtpPeer, RtpPeer]]:
    with RtpPeer(CALLER_TONE) as caller, RtpPeer(CALLEE_TONE) as callee:
        yield caller, callee


def parties(talk: Talk, rtp: tuple[RtpPeer, RtpPeer]) -> dict[str, Party]:
    for peer, phone in zip(rtp, (talk.caller, talk.callee), strict=True):
        peer.remote = phone.offer.address  # who holds at once may never hear from us where we are
    return {
        "caller": Party(talk.caller, rtp[0], CALLER_TONE),
        "callee": Party(talk.callee, rtp[1], CALLEE_TONE),
    }


@pytest.mark.parametrize(
    ("leg", "way"),
    [*(("caller", way) for way in WAYS), ("callee", WAYS[0]), ("callee", WAYS[-1])],
    ids=str,
)
def test_a_held_party_hears_music_until_it_is_resumed(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer], leg: str, way: Way
) -> None:
    with talking(product, trunk, *rtp) as talk:
        both = parties(talk, rtp)
        holder = both.pop(leg)
        (held,) = both.values()
        answer = way.ask(holder.phone, holder.sdp)
        assert answer.sdp.direction in ANSWERS[way.direction]
        held.hears(MUSIC)
        heard_before = len(holder.rtp.packets())
        held.rtp.wait_for_more_audio(packets=25)
        assert len(holder.rtp.packets()) == heard_before, "the holder asked for no audio"
        holder.resume(way.by)
        held.hears(holder.tone)
        holder.hears(held.tone)
        # A hold is between its party and us.
        assert not held.phone.reinvites()
        assert not held.phone.received("UPDATE")
        assert product.status(talk.call_id) == "connected"


def test_both_hold_at_once_and_resume_one_after_the_other(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    with talking(product, trunk, *rtp) as talk:
        both = parties(talk, rtp)
        caller, callee = both["caller"], both["callee"]
        requests = [
            party.phone.request("INVITE", sdp=replace(party.sdp, direction=Direction.SENDONLY))
            for party in (caller, callee)
        ]
        for party, request in zip((caller, callee), requests, strict=True):
            assert party.phone.response_to(request).sdp.direction is Direction.RECVONLY
        caller.resume()
        caller.hears(MUSIC)
        callee.resume()
        caller.hears(CALLEE_TONE)
        callee.hears(CALLER_TONE)


def test_a_hold_said_again_and_otherwise_is_one_hold(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    with talking(product, trunk, *rtp) as talk:
        both = parties(talk, rtp)
        caller, callee = both["caller"], both["callee"]
        for way in WAYS:
            way.ask(caller.phone, caller.sdp)
            callee.hears(MUSIC, packets=10)
        caller.resume()
        callee.hears(CALLER_TONE)
        caller.hears(CALLEE_TONE)


def test_the_recording_runs_on_through_a_hold(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    """And keeps what the parties say: the music is not theirs."""
    with talking(product, trunk, *rtp, recording=True) as talk:
        both = parties(talk, rtp)
        caller, callee = both["caller"], both["callee"]
        callee.hears(CALLER_TONE)
        WAYS[1].ask(caller.phone, caller.sdp)
        callee.hears(MUSIC, packets=75)
        caller.resume()
        callee.hears(CALLER_TONE)
        caller.hears(CALLEE_TONE)
        call = talk.end()
    samples, rate = soundfile.read(io.BytesIO(product.rest.wav(talk.call_id)), dtype="int16")
    assert call.connected_at is not None
    assert call.ended_at is not None
    connected = (call.ended_at - call.connected_at).total_seconds()
    assert len(samples) / rate == pytest.approx(connected, abs=0.15)
    assert lacks_tone(samples, MUSIC)
    for end in (samples[: rate // 2], samples[-rate // 2 :]):
        assert has_tone(end, CALLER_TONE)
        assert has_tone(end, CALLEE_TONE)


def test_a_party_may_hang_up_during_a_hold(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    with talking(product, trunk, *rtp) as talk:
        both = parties(talk, rtp)
        WAYS[0].ask(talk.caller, both["caller"].sdp)
        both["callee"].hears(MUSIC)
        talk.callee.bye()
        talk.caller.wait_for("BYE")
        assert product.wait_ended(talk.call_id).reason is DisconnectionReason.HANG_UP


@pytest.mark.parametrize("overrides", ["silence"], indirect=True)
def test_a_held_party_may_hear_silence(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    with talking(product, trunk, *rtp) as talk:
        both = parties(talk, rtp)
        WAYS[0].ask(talk.caller, both["caller"].sdp)
        both["callee"].hears_silence()
        both["caller"].resume()
        both["callee"].hears(CALLER_TONE)


@pytest.mark.parametrize("overrides", ["network"], indirect=True)
def test_a_held_party_may_hear_what_the_holder_sends(
    product: Product, trunk: SipTrunk, rtp: tuple[RtpPeer, RtpPeer]
) -> None:
    """The holder's own music on hold comes with `sendonly`; with `inactive` there is silence."""
    with talking(product, trunk, *rtp) as talk:
        both = parties(talk, rtp)
        both["callee"].hears(CALLER_TONE)  # and has learnt where to send
        WAYS[0].ask(talk.callee, both["callee"].sdp)
        both["caller"].hears(CALLEE_TONE)
        rtp[1].pause()
        WAYS[1].ask(talk.callee, both["callee"].sdp)
        both["caller"].hears_silence()
        rtp[1].resume()
        both["callee"].resume()
        both["caller"].hears(CALLEE_TONE)
        both["callee"].hears(CALLER_TONE)


@pytest.mark.parametrize("scenario", ["hold-by-reinvite", "hold-by-update", "hold-by-zero-address"])
def test_the_scenario(sipp: ScenarioTrunk, scenario: str) -> None:
    with sipp.playing(scenario):
        call_id = sipp.product.create(fresh_number("01"), fresh_number("99"), recording=True)
        call = sipp.product.wait_ended(call_id)
    assert (call.reason, call.recording_result) == (DisconnectionReason.HANG_UP, RecordingResult.SUCCESS)
    assert call.duration is not None
    assert call.duration >= 3
