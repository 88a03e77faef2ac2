"""What becomes of recordings when the disk has no room for them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.call import CallState, DisconnectionReason, RecordingResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
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


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return


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


def test_below_the_floor_a_call_may_be_made_but_not_recorded(trunk: SipTrunk, tmp_path: Path) -> None:
    overrides = {"recording": {"root": str(tmp_path / "recordings"), "free_space_floor_mb": 10**9}}
    with Product(tmp_path, trunk_port=trunk.port, overrides=overrides) as product:
        refused = product.rest.create(fresh_number(), fresh_number(), recording=True)
        assert (refused.status_code, refused.json()["code"]) == (422, "RECORDING_NOT_SUPPORTED")
        numbers = fresh_number(), fresh_number()
        call_id = product.create(*numbers)
        trunk.ringing_at(numbers[0])
        product.delete(call_id)
        product.wait_ended(call_id)
