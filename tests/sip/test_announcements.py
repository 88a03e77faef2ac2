"""An enterprise's prompts: who hears which, when, in the recording or not, and how a call ends under each."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
import soundfile

from config.settings import CONFIG_VARIABLE
from state.call import DisconnectionReason as Reason
from state.call import RecordingResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended, cause
from tests.sip.heard import assert_never_two_and_never_silent, heard, longest, stations
from tests.sip.prompt_files import LENGTH, Prompt, announcements
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import PLAIN, TWO_CODECS, talking
from tests.sip.waiting_caller import RINGBACK
from tests.support.audio import Samples, tone_level
from tests.support.calls_client import CallsClient
from tests.support.lossy_path import LossyPath
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import Overrides, write_settings
from tests.support.waiting import wait_until

PROMPTS = {
    "hello": Prompt(500, rate=48000),
    "noted": Prompt(800, rate=44100, channels=2, subtype="FLOAT"),
    "busy": Prompt(1100),
    "absent": Prompt(2300, rate=16000, subtype="PCM_24"),
    "wrong": Prompt(2600, rate=22050, subtype="ULAW"),
    "lost": Prompt(2900, channels=2),
}
TONES = {"c": 1700.0, "t": 2000.0, "r": 1400.0} | {name[0]: p.frequency for name, p in PROMPTS.items()}
"""The caller, talk of the callee, ringback, and the prompts by their initials."""
ALL = {
    "whisper": "hello",
    "connect": "noted",
    "busy": "busy",
    "no_answer": "absent",
    "failed": "wrong",
    "lost": "lost",
}
UNRECORDED = {"connect": "noted", "connect_recorded": False}
NO_ANSWER, MEDIA_TIMEOUT = 4.0, 2.0
"""Seconds."""
EXACT = 0.06
"""Seconds by which a prompt may be heard for longer or shorter."""


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> Overrides:
    folder = tmp_path_factory.mktemp("prompts")
    return {
        **announcements(folder, PROMPTS, {"acme": ALL, "globex": UNRECORDED}),
        "ringback": RINGBACK,
        "call": {"no_answer_timeout": NO_ANSWER, "media_timeout": MEDIA_TIMEOUT},
    }


@pytest.fixture
def ear() -> Iterator[RtpPeer]:
    """The caller's phone."""
    with RtpPeer(TONES["c"]) as peer:
        yield peer


@pytest.fixture
def mouth() -> Iterator[RtpPeer]:
    """The callee's."""
    with RtpPeer(TONES["t"]) as peer:
        yield peer


@pytest.fixture(scope="module")
def globex(product: Product) -> Iterator[CallsClient]:
    """The enterprise whose calls are recorded from after the prompt."""
    with product.other_client() as client:
        yield client


@dataclass(frozen=True)
class Stage:
    """A call whose caller has answered."""

    product: Product
    trunk: SipTrunk
    call_id: str
    caller: Phone
    callee_number: str

    def callee(self) -> Phone:
        """Once it is dialled."""
        return self.trunk.ringing_at(self.callee_number)

    def answer(self, mouth: RtpPeer) -> Phone:
        """The callee does."""
        callee = self.callee()
        mouth.remote = callee.offer.address
        callee.answer(mouth.port)
        return callee


def call(product: Product, trunk: SipTrunk, ear: RtpPeer, client: CallsClient | None = None) -> Stage:
    numbers = fresh_number(), fresh_number()
    call_id = (client or product.rest).dial(*numbers, recording=True)
    caller = trunk.ringing_at(numbers[0])
    ear.remote = caller.offer.address
    caller.answer(ear.port)
    return Stage(product, trunk, call_id, caller, numbers[1])


def line(peer: RtpPeer) -> str:
    return heard(peer.samples(), **TONES)


def wait_to_hear(peer: RtpPeer, letters: str) -> None:
    def just_heard() -> bool:
        return stations(heard(peer.samples(since=monotonic() - 0.5), **TONES))[-1:] in set(letters)

    wait_until(just_heard, what=f"one of {letters} at port {peer.port}")


def recorded(client: CallsClient, call_id: str) -> Samples:
    samples, rate = soundfile.read(io.BytesIO(client.wav(call_id)), dtype="int16")
    assert rate == 8000
    result: Samples = samples
    return result


# --- the caller alone


def test_the_callee_is_dialled_only_after_the_caller_has_heard_the_whisper(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer
) -> None:
    placed = call(product, trunk, ear)
    dialled = placed.callee().log[0].at
    ear.wait_for_more_audio(packets=25)
    assert product.delete(placed.call_id) == 204
    before = heard(ear.samples(until=dialled), **TONES)
    assert stations(before) == "h"
    assert longest("h", before) >= LENGTH - EXACT
    assert stations(line(ear)) == "hr"
    assert_never_two_and_never_silent(line(ear), path)
    assert longest("h", line(ear)) == pytest.approx(LENGTH, abs=EXACT)
    assert product.event_states(placed.call_id)[1:3] == ["callingCaller", "callingCallee"]


@pytest.mark.parametrize(
    ("answer", "prompt", "reason", "q850"),
    [
        ("486 Busy Here", "b", Reason.CALLEE_BUSY, 17),
        ("603 Decline", "b", Reason.CALLEE_BUSY, 21),
        ("480 Temporarily Unavailable", "a", Reason.CALLEE_NO_ANSWER, 18),
        ("404 Not Found", "w", Reason.CALLEE_FAILURE, 1),
    ],
)
def test_the_caller_is_told_why_the_callee_does_not_come_before_the_call_ends(
    product: Product, trunk: SipTrunk, ear: RtpPeer, answer: str, prompt: str, reason: Reason, q850: int
) -> None:
    placed = call(product, trunk, ear)
    placed.callee().respond(answer)
    wait_to_hear(ear, prompt)
    assert product.status(placed.call_id) == "callingCallee"
    assert_ended(product, placed.call_id, reason)
    assert cause(placed.caller, "BYE") == f"Q.850;cause={q850}"
    assert stations(line(ear)).replace("r", "") == f"h{prompt}"
    assert longest(prompt, line(ear)) == pytest.approx(LENGTH, abs=EXACT)
    assert "*" not in line(ear)


def test_a_callee_who_does_not_answer_is_cancelled_at_once_and_the_caller_told(
    product: Product, trunk: SipTrunk, path: LossyPath | None, ear: RtpPeer
) -> None:
    placed = call(product, trunk, ear)
    callee = placed.callee()
    callee.respond("180 Ringing")
    assert cause(callee, "CANCEL") == "Q.850;cause=19"
    assert not placed.caller.received("BYE")
    assert_ended(product, placed.call_id, Reason.CALLEE_NO_ANSWER)
    assert cause(placed.caller, "BYE") == "Q.850;cause=19"
    assert stations(line(ear)) == "hra"
    assert_never_two_and_never_silent(line(ear), path)


# --- both


def test_both_hear_that_the_call_is_recorded_and_then_each_other(
    product: Product, trunk: SipTrunk, ear: RtpPeer, mouth: RtpPeer
) -> None:
    """The recording holds the prompt, too."""
    placed = call(product, trunk, ear)
    placed.answer(mouth)
    for peer, talk in ((ear, "t"), (mouth, "c")):
        wait_to_hear(peer, talk)
    assert product.delete(placed.call_id) == 204
    for peer, expected in ((ear, "hnt"), (mouth, "nc")):
        assert stations(line(peer)).replace("r", "") == expected
        assert longest("n", line(peer)) == pytest.approx(LENGTH, abs=EXACT)
        assert "*" not in line(peer)
    tape = recorded(product.rest, placed.call_id)
    assert stations(heard(tape, **TONES)) == "n*"
    # A stereo file of floats at 44.1 kHz, 6 dB below full scale.
    assert tone_level(tape[800:7200], TONES["n"]) == pytest.approx(-6, abs=1)


def test_a_recording_may_begin_after_the_prompt(
    product: Product, globex: CallsClient, trunk: SipTrunk, ear: RtpPeer, mouth: RtpPeer
) -> None:
    placed = call(product, trunk, ear, globex)
    placed.answer(mouth)
    for peer, talk in ((ear, "t"), (mouth, "c")):
        wait_to_hear(peer, talk)
    assert globex.delete(placed.call_id).status_code == 204
    assert stations(line(ear)).replace("r", "") == "nt"
    assert stations(heard(recorded(globex, placed.call_id), **TONES)) == "*"


@pytest.mark.parametrize("silent", ["caller", "callee"])
def test_the_other_party_is_told_that_the_connection_was_lost(
    product: Product, trunk: SipTrunk, ear: RtpPeer, mouth: RtpPeer, silent: str
) -> None:
    placed = call(product, trunk, ear)
    callee = placed.answer(mouth)
    wait_to_hear(ear, "t")
    gone, left = (ear, mouth) if silent == "caller" else (mouth, ear)
    phones = (placed.caller, callee) if silent == "caller" else (callee, placed.caller)
    gone.pause()
    wait_to_hear(left, "l")
    assert cause(phones[0], "BYE") == "Q.850;cause=41"
    assert not phones[1].received("BYE")
    assert product.status(placed.call_id) == "connected"
    assert_ended(product, placed.call_id, Reason.OTHER)
    assert cause(phones[1], "BYE") == "Q.850;cause=41"
    assert longest("l", line(left)) == pytest.approx(LENGTH, abs=EXACT)
    assert "l" not in line(gone)
    assert product.call(placed.call_id).recording_result is RecordingResult.SUCCESS


@pytest.mark.parametrize("gone", ["caller", "callee"])
@pytest.mark.parametrize(("answer", "q850"), [("481 Gone", 41), ("408 Request Timeout", 102)])
def test_the_other_party_is_told_that_a_dialog_was_lost(
    product: Product, trunk: SipTrunk, ear: RtpPeer, mouth: RtpPeer, gone: str, answer: str, q850: int
) -> None:
    """Its phone knows nothing of the call any more when an offer of ours comes (RFC 3261, section 14.1)."""
    sdp = {gone: TWO_CODECS}
    with talking(
        product,
        trunk,
        ear,
        mouth,
        caller_sdp=sdp.get("caller", PLAIN),
        callee_sdp=sdp.get("callee", PLAIN),
        answers_reinvite=False,
        recording=True,
    ) as talk:
        for peer, voice in ((ear, "t"), (mouth, "c")):
            wait_to_hear(peer, voice)
        left, remaining = (mouth, talk.callee) if gone == "caller" else (ear, talk.caller)
        lost = talk.phone(gone)
        lost.respond_to(lost.wait_for_reinvite(), answer)
        wait_to_hear(left, "l")
        assert not remaining.received("BYE")
        assert product.status(talk.call_id) == "connected"
        assert_ended(product, talk.call_id, Reason.OTHER)
        assert cause(remaining, "BYE") == f"Q.850;cause={q850}"
    assert longest("l", line(left)) == pytest.approx(LENGTH, abs=EXACT)
    assert product.call(talk.call_id).recording_result is RecordingResult.SUCCESS


# --- ends under a prompt


@pytest.mark.parametrize(("by", "reason"), [("api", Reason.HANG_UP), ("caller", Reason.CALLER_ABANDON)])
def test_a_call_that_ends_under_the_whisper_never_rings_the_callee(
    product: Product, trunk: SipTrunk, ear: RtpPeer, by: str, reason: Reason
) -> None:
    placed = call(product, trunk, ear)
    wait_to_hear(ear, "h")
    end(placed, by)
    assert_ended(product, placed.call_id, reason)
    product.wait_idle()
    assert not trunk.find(placed.callee_number)


@pytest.mark.parametrize("by", ["api", "caller", "callee"])
@pytest.mark.parametrize(
    ("client", "result"), [("acme", RecordingResult.SUCCESS), ("globex", RecordingResult.NO_RECORD)]
)
def test_a_call_that_ends_under_the_prompt_to_both_was_connected(
    product: Product,
    globex: CallsClient,
    trunk: SipTrunk,
    ear: RtpPeer,
    mouth: RtpPeer,
    by: str,
    client: str,
    result: RecordingResult,
) -> None:
    """What was to be recorded by then is."""
    placed = call(product, trunk, ear, globex if client == "globex" else None)
    callee = placed.answer(mouth)
    wait_to_hear(mouth, "n")
    if by == "callee":
        callee.bye()
    elif client == "globex" and by == "api":
        assert globex.delete(placed.call_id).status_code == 204
    else:
        end(placed, by)
    wait_until(lambda: product.call(placed.call_id).state.is_terminal, what="the end of the call")
    ended = product.call(placed.call_id)
    assert (ended.reason, ended.recording_result) == (Reason.HANG_UP, result)
    assert "t" not in line(ear)
    assert "c" not in line(mouth)


@pytest.mark.parametrize(("by", "reason"), [("api", Reason.HANG_UP), ("caller", Reason.CALLEE_BUSY)])
def test_a_call_that_ends_under_an_explanation_keeps_its_reason_unless_deleted(
    product: Product, trunk: SipTrunk, ear: RtpPeer, by: str, reason: Reason
) -> None:
    placed = call(product, trunk, ear)
    placed.callee().respond("486 Busy Here")
    wait_to_hear(ear, "b")
    end(placed, by)
    assert_ended(product, placed.call_id, reason)


def end(placed: Stage, by: str) -> None:
    if by == "api":
        assert placed.product.delete(placed.call_id) == 204
    else:
        placed.caller.bye()


def test_sipp_plays_a_callee_who_is_busy_between_two_prompts(sipp: ScenarioTrunk) -> None:
    product = sipp.product
    with sipp.playing("failure-with-cause"):
        call_id = product.create(fresh_number("01"), fresh_number("99"))
        assert_ended(product, call_id, Reason.CALLEE_BUSY)
    at = {(m.leg, m.start_line.split(" sip:")[0]): m.at for m in reversed(product.sip_messages(call_id))}
    whisper = at["callee", "INVITE"] - at["caller", "SIP/2.0 200 OK"]
    explanation = at["caller", "BYE"] - at["callee", "SIP/2.0 503 Service Unavailable"]
    assert min(whisper, explanation).total_seconds() >= LENGTH - EXACT


# --- at the start


@pytest.mark.parametrize(
    ("command", "status"), [(["engine"], 2), (["dialbridge", "serve", "--var", "{folder}"], 1)]
)
def test_a_prompt_that_is_missing_ends_the_start_with_a_sentence(
    tmp_path: Path, command: list[str], status: int
) -> None:
    config = tmp_path / "dialbridge.toml"
    missing = {"connect": "nowhere"}
    write_settings(
        config,
        redis_url="redis://127.0.0.1:9",
        api_port=0,
        trunk_host="127.0.0.1",
        trunk_port=9,
        overrides=announcements(tmp_path / "prompts", PROMPTS, {"acme": missing}),
    )
    run = subprocess.run(
        [sys.executable, "-m", *(word.format(folder=tmp_path) for word in command)],
        env={CONFIG_VARIABLE: str(config)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == status, run.stderr
    file = tmp_path / "prompts" / "nowhere.wav"
    assert f"enterprises[0].announcements.connect: {file}: cannot be read" in run.stderr
    assert "put a WAV file there" in run.stderr
