"""What becomes of recordings when the disk has no room for them, or takes nothing at all."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from state.call import CallState, DisconnectionReason, RecordingResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import connect
from tests.support.audio import has_tone
from tests.support.rtp_peer import RtpPeer
from tests.support.sink import Sink
from tests.support.sip_trunk import SipTrunk
from tests.support.waiting import wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The recordings' folder of a product in `tmp_path`: a file system of one megabyte."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=1M", "none", str(folder))
    if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(("umount", "--lazy", str(folder)), check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    subprocess.run(("mount", "-o", "remount,ro", str(folder)), check=True)
    try:
        yield
    finally:
        subprocess.run(("mount", "-o", "remount,rw", str(folder)), check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return


def assert_not_recorded(product: Product) -> None:
    refused = product.rest.create(fresh_number(), fresh_number(), recording=True)
    assert (refused.status_code, refused.json()["code"]) == (422, "RECORDING_NOT_SUPPORTED")


def test_a_disk_that_gets_full_costs_the_recording_but_not_the_call(
    trunk: SipTrunk, sink: Sink, small_disk: Path, tmp_path: Path
) -> None:
    overrides = {"recording": {"root": str(small_disk), "free_space_floor_mb": 0}}
    with Product(tmp_path, trunk_port=trunk.port, overrides=overrides) as product:
        numbers = fresh_number(), fresh_number()
        call_id = product.create(*numbers, recording=True, sink=sink.url)
        caller = trunk.ringing_at(numbers[0])
        caller.answer()
        callee = trunk.ringing_at(numbers[1])
        callee.answer()
        product.wait_status(call_id, "connected")
        (live,) = small_disk.glob(".live/*/*.wav")
        wait_until(lambda: live.stat().st_size > 8000)
        fill(small_disk)
        wait_until(lambda: "has lost samples" in product.engine.log.read_text(), what="a write that failed")
        assert product.status(call_id) == "connected"
        caller.bye()
        callee.wait_for("BYE")
        ended = product.wait_ended(call_id)
        assert (ended.state, ended.reason) == (CallState.DISCONNECTED, DisconnectionReason.HANG_UP)
        assert ended.recording_result is RecordingResult.FAIL
        assert sink.wait_for(call_id, "disconnected").event["data"]["recordingResult"] == "fail"
        assert product.rest.recording(call_id).status_code == 404
        product.wait_idle()


def test_a_disk_that_gets_read_only_costs_the_recording_but_not_the_call(
    trunk: SipTrunk, sink: Sink, small_disk: Path, tmp_path: Path
) -> None:
    """The recorder of a call that could be recorded when it was posted cannot start."""
    overrides = {"recording": {"root": str(small_disk), "free_space_floor_mb": 0}}
    with (
        RtpPeer(440) as caller_audio,
        RtpPeer(1000) as callee_audio,
        Product(tmp_path, trunk_port=trunk.port, overrides=overrides) as product,
    ):
        numbers = fresh_number(), fresh_number()
        call_id = product.create(*numbers, recording=True, sink=sink.url)
        caller = trunk.ringing_at(numbers[0])
        caller.respond("180 Ringing")
        with read_only(small_disk):
            caller.answer(caller_audio.port)
            callee = trunk.ringing_at(numbers[1])
            callee.answer(callee_audio.port)
            product.wait_status(call_id, "connected")
            assert "the recorder could not be started" in product.engine.log.read_text()
            for audio, other in ((caller_audio, 1000), (callee_audio, 440)):
                audio.wait_for_more_audio(packets=25)
                assert has_tone(audio.samples(since=audio.wait_for_more_audio(packets=50)), other)
            assert product.status(call_id) == "connected"
            caller.bye()
            callee.wait_for("BYE")
            ended = product.wait_ended(call_id)
            assert (ended.state, ended.reason) == (CallState.DISCONNECTED, DisconnectionReason.HANG_UP)
            assert ended.recording_result is RecordingResult.FAIL
            assert "phase=finalising" not in product.engine.log.read_text(), (
                "there is no recording to wait for"
            )
            assert sink.wait_for(call_id, "disconnected").event["data"]["recordingResult"] == "fail"
            assert product.rest.recording(call_id).status_code == 404
            wait_until(lambda: not product.engine_status().can_record)
            assert_not_recorded(product)
        wait_until(lambda: product.engine_status().can_record)
        recorded = connect(product, trunk, recording=True)
        recorded.caller.bye()
        assert product.wait_ended(recorded.call_id).recording_result is RecordingResult.SUCCESS
        product.wait_idle()


def test_below_the_floor_a_call_may_be_made_but_not_recorded(trunk: SipTrunk, tmp_path: Path) -> None:
    overrides = {"recording": {"root": str(tmp_path / "recordings"), "free_space_floor_mb": 10**9}}
    with Product(tmp_path, trunk_port=trunk.port, overrides=overrides) as product:
        assert_not_recorded(product)
        numbers = fresh_number(), fresh_number()
        call_id = product.create(*numbers)
        trunk.ringing_at(numbers[0])
        product.delete(call_id)
        product.wait_ended(call_id)
