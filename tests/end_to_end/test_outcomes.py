"""How calls end between the lab's phones: the rows of the design's table that they can cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from state.call import CallState, RecordingResult
from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.phones import running_phones
from tests.support.sink import Sink


@dataclass(frozen=True)
class Row:
    caller: str
    callee: str
    reason: Reason
    connected: bool = False


ROWS = [
    Row("10", "00", Reason.CALLER_BUSY),
    Row("12", "00", Reason.CALLER_BUSY),
    Row("11", "00", Reason.CALLER_NO_ANSWER),
    Row("15", "00", Reason.CALLER_NO_ANSWER),
    Row("13", "00", Reason.CALLER_FAILURE),
    Row("14", "00", Reason.CALLER_FAILURE),
    Row("00", "10", Reason.CALLEE_BUSY),
    Row("00", "12", Reason.CALLEE_BUSY),
    Row("00", "11", Reason.CALLEE_NO_ANSWER),
    Row("00", "15", Reason.CALLEE_NO_ANSWER),
    Row("00", "13", Reason.CALLEE_FAILURE),
    Row("00", "14", Reason.CALLEE_FAILURE),
    # 21 hangs up 3 s after it has answered: while the callee still rings, or once both talk.
    Row("21", "11", Reason.CALLER_ABANDON),
    Row("01", "21", Reason.HANG_UP, connected=True),
    Row("21", "02", Reason.HANG_UP, connected=True),
]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("outcomes")
    limits = {"call": {"no_answer_timeout": 4.0, "max_duration": 5.0}}
    with (
        running_phones(folder / "phones") as phones,
        Product(folder, trunk_port=phones.sip_port, overrides=limits) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def endings(product: Product) -> Iterator[dict[Row, str]]:
    """All rows' calls, placed at once: they do not disturb each other."""
    with Sink() as sink:
        calls = {
            row: product.create(
                fresh_number(row.caller), fresh_number(row.callee), sink=sink.url, recording=True
            )
            for row in ROWS
        }
        for call_id in calls.values():
            product.wait_ended(call_id, timeout=40)
            sink.wait_for(call_id, "disconnected")
        for call_id in calls.values():
            assert sink.states(call_id) == product.event_states(call_id)
        yield calls


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.caller}-{row.callee}-{row.reason}")
def test_a_phone_s_behaviour_becomes_the_reason(product: Product, endings: dict[Row, str], row: Row) -> None:
    call = product.call(endings[row])
    assert (call.state, call.reason) == (CallState.DISCONNECTED, row.reason)
    states = product.event_states(call.id)
    assert states[0] == "initiating"
    assert ("callingCallee" in states) is (
        not row.reason.startswith("caller") or row.reason is Reason.CALLER_ABANDON
    )
    assert ("connected" in states) is row.connected
    assert states.count("disconnected") == 1
    assert product.status(call.id) == "disconnected"
    if row.connected:
        assert call.duration is not None
        assert call.duration >= 1
        assert call.recording_result is RecordingResult.SUCCESS
        assert product.rest.recording(call.id).status_code == 200
    else:
        assert call.duration == 0
        assert call.recording_result is RecordingResult.NO_RECORD
        assert product.rest.recording(call.id).status_code == 404


def test_a_call_ends_at_its_maximum_duration(product: Product) -> None:
    call_id = product.create(fresh_number("01"), fresh_number("02"))
    call = product.wait_ended(call_id, timeout=30)
    assert (call.reason, call.duration, call.recording_result) == (Reason.OTHER, 5, None)


def test_recording_is_refused_while_the_call_lives_and_without_one(product: Product) -> None:
    recorded = product.create(fresh_number("01"), fresh_number("02"), recording=True)
    unrecorded = product.create(fresh_number("01"), fresh_number("02"))
    for call_id in (recorded, unrecorded):
        product.wait_status(call_id, "connected")
        assert product.rest.recording(call_id).status_code == 404
        assert product.delete(call_id) == 204
    assert product.rest.recording(recorded).status_code == 200
    assert product.rest.recording(unrecorded).status_code == 404


def test_nothing_is_left_of_all_these_calls(product: Product, endings: dict[Row, str]) -> None:
    assert endings
    product.wait_idle()
    product.wait_no_key("pair", "outbox")
