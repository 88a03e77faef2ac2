"""Fifty recorded calls at once, ten new ones a second: each one right, and nothing left behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest
import soundfile

from state.call import Call, DisconnectionReason, RecordingResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.audio import has_tone, mean_tone_level
from tests.support.phones import running_phones
from tests.support.sink import Sink
from tests.support.waiting import wait_until

CALLS = 50
PER_SECOND = 10
TALK = 2.0
"""Seconds all of them talk."""
STATES = ["initiating", "callingCaller", "callingCallee", "connected", "disconnected"]


@dataclass(frozen=True)
class Run:
    product: Product
    sink: Sink
    calls: dict[str, Call]
    peak: int
    files_before: int
    files_after: int


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("fifty")
    with (
        running_phones(folder / "phones") as phones,
        Product(folder, trunk_port=phones.sip_port) as product,
        Sink() as sink,
    ):
        yield carry_out(product, sink)


def carry_out(product: Product, sink: Sink) -> Run:
    warm_up(product)
    files_before = media_and_recording_files(product)
    pace = Event()

    def place(_: int) -> str:
        return product.create(fresh_number("02"), fresh_number("01"), sink=sink.url, recording=True)

    call_ids = []
    for number in range(CALLS):
        call_ids.append(place(number))
        pace.wait(1 / PER_SECOND)
    for call_id in call_ids:
        product.wait_status(call_id, "connected")
    wait_until(lambda: product.engine_status().calls == CALLS, 5, f"{CALLS} calls at once")
    peak = product.engine_status().calls
    pace.wait(TALK)
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(product.delete, call_ids)) == [204] * CALLS
    for call_id in call_ids:
        sink.wait_for(call_id, "disconnected")
    product.wait_idle()
    return Run(
        product,
        sink,
        {call_id: product.call(call_id) for call_id in call_ids},
        peak,
        files_before,
        media_and_recording_files(product),
    )


def warm_up(product: Product) -> None:
    """One call, so that what is opened once is open."""
    call_id = product.create(fresh_number("02"), fresh_number("01"), recording=True)
    product.wait_status(call_id, "connected")
    product.delete(call_id)
    product.wait_idle()


def media_and_recording_files(product: Product) -> int:
    """The engine's descriptors, but for its connections to Redis, whose number follows the load."""
    sockets = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    return sum(
        target.removeprefix("socket:[").removesuffix("]") not in sockets
        for target in product.engine.open_files()
    )


def test_they_were_up_at_the_same_time(run: Run) -> None:
    assert run.peak == CALLS


def test_each_call_ended_as_asked_with_its_recording(run: Run) -> None:
    for call in run.calls.values():
        assert (call.reason, call.recording_result) == (DisconnectionReason.HANG_UP, RecordingResult.SUCCESS)
        assert call.connected_at is not None
        assert call.ended_at is not None
        samples, rate = soundfile.read(io.BytesIO(run.product.rest.wav(call.id)), dtype="int16")
        assert abs(len(samples) / rate - (call.ended_at - call.connected_at).total_seconds()) <= 0.1
        talk = samples[rate // 2 :]
        assert has_tone(talk, 440)
        assert has_tone(talk, 1000)
        assert abs(mean_tone_level(talk, 440) - mean_tone_level(talk, 1000)) < 1


def test_each_call_s_events_reached_the_sink_in_order(run: Run) -> None:
    for call_id in run.calls:
        assert run.sink.states(call_id) == STATES
        assert run.product.event_states(call_id) == STATES


def test_nothing_is_left_in_redis(run: Run) -> None:
    engine = run.product.engine_status()
    run.product.wait_no_key("pair", "outbox", f"engine:{engine.engine_id}:calls")


def test_no_descriptor_is_left_open(run: Run) -> None:
    assert run.files_after == run.files_before


def test_no_unfinished_recording_is_left(run: Run) -> None:
    assert not [*(run.product.settings.recording.root / ".live").rglob("*.wav")]
