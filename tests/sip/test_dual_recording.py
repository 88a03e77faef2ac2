"""What a recording holds: both parties in one channel, or each in its own, at the rate that is asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from state.call import Call
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip import g722
from tests.sip.conftest import StartProduct
from tests.sip.heard import heard, stations
from tests.sip.prompt_files import LENGTH, Prompt, announcements
from tests.sip.talk import only, talking
from tests.support.audio import RATE, Samples, lacks_tone, typical_tone_level
from tests.support.calls_client import CallsClient
from tests.support.lossy_path import LossyPath
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import Direction, Sdp
from tests.support.sip_trunk import SipTrunk
from tests.support.waiting import wait_until

TONES = {"c": 440.0, "t": 1000.0, "n": 1700.0, "m": 2400.0}
"""The caller, the callee, the prompt to both, music on hold."""
TALK = 50
"""Packets."""
ALIGNED = 0.04
"""Seconds."""


@dataclass(frozen=True)
class Tape:
    call: Call
    rate: int
    channels: npt.NDArray[np.int16]

    def channel(self, index: int) -> Samples:
        """At 8 kHz; the tones are low enough to leave samples out."""
        samples: Samples = self.channels[:: self.rate // RATE, index]
        return samples


@dataclass(frozen=True)
class Recorded:
    """Two calls that went the same way."""

    rate: int
    """That was asked for."""
    dual: Tape
    mixed: Tape


@pytest.fixture(scope="module", params=[8000, 16000], ids=["8 kHz", "16 kHz"])
def recorded(
    request: pytest.FixtureRequest,
    start_product: StartProduct,
    trunk: SipTrunk,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Recorded]:
    """By a product whose one enterprise is recorded in two channels, the other as the installation says."""
    folder = tmp_path_factory.mktemp("prompts")
    music = tmp_path_factory.mktemp("music") / "hold.wav"
    Prompt(TONES["m"]).write(music)
    spoken = announcements(folder, {"noted": Prompt(TONES["n"])}, {"globex": {"connect": "noted"}})
    acme = {"announcements": {"connect": "noted"}, "recording_channels": "dual"}
    product = start_product(
        {
            **spoken,
            "enterprises": {**spoken["enterprises"], "acme": acme},
            "recording": {"channels": "mixed", "sample_rate": request.param},
            "call": {"hold_music": str(music)},
        }
    )
    with product.other_client() as other:
        yield Recorded(
            rate=request.param, dual=record(product, trunk, product.rest), mixed=record(product, trunk, other)
        )


def record(product: Product, trunk: SipTrunk, client: CallsClient) -> Tape:
    """A prompt to both, talk, silence of both at once, talk, a hold by the callee, talk."""
    numbers = fresh_number(), fresh_number()
    with RtpPeer(TONES["c"]) as caller, RtpPeer(TONES["t"]) as callee:
        call_id = client.dial(*numbers, recording=True)
        for number, rtp in zip(numbers, (caller, callee), strict=True):
            phone = trunk.ringing_at(number)
            rtp.remote = phone.offer.address
            phone.answer(rtp.port)
        caller.wait_for_more_audio(packets=round(LENGTH / 0.02) + TALK)
        for party in (caller, callee):
            party.pause()
        caller.wait_for_more_audio(packets=TALK // 2)
        for party in (caller, callee):
            party.resume()
        caller.wait_for_more_audio(packets=TALK)
        callee.pause()
        held = Sdp(callee.port, direction=Direction.SENDONLY)
        assert phone.reinvite(held).status == 200
        caller.wait_for_more_audio(packets=TALK)
        assert phone.reinvite(replace(held, direction=Direction.SENDRECV)).status == 200
        callee.resume()
        caller.wait_for_more_audio(packets=TALK)
        assert client.delete(call_id).status_code == 204
    samples, rate = soundfile.read(io.BytesIO(client.wav(call_id)), dtype="int16", always_2d=True)
    return Tape(product.call(call_id), rate, samples)


def sounds(channel: Samples) -> list[tuple[float, float]]:
    """Start and end, in seconds, of what is between pauses of 0.1 s and more."""
    loud = np.flatnonzero(np.abs(channel.astype(np.int32)) > 300)
    pauses = np.flatnonzero(np.diff(loud) > RATE / 10)
    starts, ends = [0, *(pauses + 1)], [*pauses, len(loud) - 1]
    return [(float(loud[a]) / RATE, float(loud[b]) / RATE) for a, b in zip(starts, ends, strict=True)]


def test_the_caller_is_on_the_left_and_the_callee_on_the_right(recorded: Recorded) -> None:
    """The prompt, which both heard, is on both sides; the music, which neither said, is on none."""
    left, right = (heard(recorded.dual.channel(side), **TONES) for side in (0, 1))
    assert recorded.dual.channels.shape[1] == 2
    assert stations(left) == "nc"
    assert stations(right) == "nt"
    assert not {"*", "m"} & {*left, *right}


def test_both_sides_keep_the_same_time(recorded: Recorded, path: LossyPath | None) -> None:
    """To the sample, as the prompt shows; both parties' pause differs by no more than their packets did."""
    left, right = (recorded.dual.channel(side) for side in (0, 1))
    prompt = round(LENGTH * RATE)
    # A change of rate rounds with noise of its own.
    assert np.abs(left[:prompt].astype(np.int32) - right[:prompt]).max() <= 4
    if path is not None:
        return  # the path delays the parties' packets by more, and each its own way
    for ours, theirs in zip(sounds(left)[0], sounds(right)[0], strict=True):
        assert ours == pytest.approx(theirs, abs=ALIGNED)
    assert sounds(left)[1][0] == pytest.approx(sounds(right)[1][0], abs=ALIGNED)


def test_a_mixed_recording_has_both_in_one_channel(recorded: Recorded) -> None:
    line = heard(recorded.mixed.channel(0), **TONES)
    assert recorded.mixed.channels.shape[1] == 1
    # The prompt, both, the caller alone during the hold, both.
    assert stations(line) == "n*c*"
    assert "m" not in line


def test_the_recording_has_the_rate_asked_for_and_lasts_as_long_as_the_call(recorded: Recorded) -> None:
    for tape in (recorded.dual, recorded.mixed):
        assert tape.rate == recorded.rate
        assert tape.call.connected_at is not None
        assert tape.call.ended_at is not None
        connected = (tape.call.ended_at - tape.call.connected_at).total_seconds()
        assert len(tape.channels) / tape.rate == pytest.approx(connected, abs=0.15)


def test_wideband_parties_are_recorded_with_all_that_they_say(
    start_product: StartProduct, trunk: SipTrunk
) -> None:
    """A telephone carries nothing above 3.4 kHz, and 8000 samples a second nothing above 4."""
    said = {"caller": (1000.0, 6000.0), "callee": (2000.0, 5000.0)}
    product = start_product(
        {"trunk": {"codecs": ["G722"]}, "recording": {"channels": "dual", "sample_rate": 16_000}}
    )
    caller, callee = (
        RtpPeer(encoded={g722.PAYLOAD_TYPE: g722.tones(*tones)}, codec=g722.PAYLOAD_TYPE)
        for tones in said.values()
    )
    wideband = only("G722")
    with (
        caller,
        callee,
        talking(
            product, trunk, caller, callee, caller_sdp=wideband, callee_sdp=wideband, recording=True
        ) as talk,
    ):
        for party in (caller, callee):
            wait_until(lambda party=party: len(party.packets()) >= 100)  # type: ignore[misc]
        talk.end()
    samples, rate = soundfile.read(io.BytesIO(product.rest.wav(talk.call_id)), dtype="int16")
    assert rate == g722.RATE
    for channel, own, others in zip(samples.T, said.values(), reversed(said.values()), strict=True):
        # These functions count 8000 samples a second; at twice as many every frequency looks like half of it.
        for frequency in own:
            assert typical_tone_level(channel, frequency / 2) == pytest.approx(g722.LEVEL, abs=3)
        assert all(lacks_tone(channel, frequency / 2) for frequency in others)
