"""One recorded call with a key and a retention of the enterprise's own, and its erasure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyrage

from media.sealed_file import is_sealed
from state.call import RecordingResult
from tests.api.test_erasure import dump
from tests.end_to_end.product import Product
from tests.sip.calls import connect
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides


def test_a_recording_is_encrypted_served_and_erased(trunk: SipTrunk, tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    overrides: Overrides = {
        "recording": {"keys": [str(pyrage.x25519.Identity.generate())], "free_space_floor_mb": 0},
        "enterprises": {"acme": {"retention_days": 30}},
    }
    with Product(tmp_path, trunk_port=trunk.port, overrides=overrides) as product:
        call = connect(product, trunk, recording=True)
        call.caller.bye()
        ended = product.wait_ended(call.call_id)
        assert ended.recording_result is RecordingResult.SUCCESS
        product.wait_idle()
        (stored,) = [file for file in root.rglob("*") if file.is_file() and file.suffix != ".lock"]
        assert str(stored.relative_to(root)) == ended.recording_path
        assert stored.parent.name.endswith(".30d")
        assert is_sealed(stored)
        assert product.rest.wav(call.call_id)[:4] == b"RIFF"

        numbers = [number.removeprefix("+") for number in (ended.caller, ended.callee)]
        kept = product.with_redis(lambda redis, keys: dump(redis, keys.prefix))
        assert {key.split(":", 1)[1] for key, value in kept.items() if numbers[1] in value} >= {
            f"call:{call.call_id}",
            f"call:{call.call_id}:sip",
            "cdrs",
        }
        command = ["-m", "dialbridge", "erase", "call", call.call_id, "--config", str(product.config)]
        erased = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        assert erased.returncode == 0, erased.stderr
        assert not stored.exists()
        left = product.with_redis(lambda redis, keys: dump(redis, keys.prefix))
        assert not [key for key, value in left.items() for number in numbers if number in key + value]
        for process in product.processes:
            log = process.log.read_text()
            assert not any(number in log for number in numbers)
