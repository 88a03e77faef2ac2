"""How calls with each of the lab's phones end: the rows of the design's table that they can cause."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dialbridge.lab_settings import LabSettings
from state.call import CallState, RecordingResult
from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.support.phones import running_phones
from tests.support.sdp import Direction
from tests.support.sink import Sink
from tests.support.sip_client import SipText
from tests.support.waiting import wait_until

MAX_DURATION = 15
"""Seconds; more than the lab's media_timeout."""
SECOND = 50
"""Packets of 20 ms."""


def has_talked(product: Product, call_id: str, seconds: float = 1.5) -> bool:
    """Whether so much has come from the callee."""
    quality = product.call(call_id).callee_quality
    return quality is not None and quality.packets_received >= seconds * SECOND


def has_sent_digits(product: Product, call_id: str) -> bool:
    """They begin after one second and take another."""
    return has_talked(product, call_id, seconds=3.0)


def has_answered(product: Product, call_id: str) -> bool:
    """What came before the answer were three seconds."""
    return has_talked(product, call_id, seconds=4.5)


def has_resumed(product: Product, call_id: str) -> bool:
    """The callee has held and talks again; what it sent before were two seconds."""
    offers = requests(product, call_id, "callee", "received", "INVITE")
    return len(offers) == 2 and has_talked(product, call_id, seconds=2.5)


def traced(product: Product, call_id: str, leg: str, direction: str) -> list[SipText]:
    """Each message once, however often it came."""
    messages = [m for m in product.sip_messages(call_id) if (m.leg, m.direction) == (leg, direction)]
    return list(dict.fromkeys(SipText(message.text) for message in messages))


def requests(product: Product, call_id: str, leg: str, direction: str, method: str) -> list[SipText]:
    messages = traced(product, call_id, leg, direction)
    return [message for message in messages if not message.status and message.method == method]


@dataclass(frozen=True)
class Row:
    caller: str
    callee: str
    reason: Reason
    connected: bool = False
    deleted_once: Callable[[Product, str], bool] | None = None
    """None: the call ends by itself."""
    recorded: bool = True


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
    Row("21", "27", Reason.HANG_UP, connected=True),
    Row("01", "26", Reason.OTHER, connected=True),
    Row("01", "02", Reason.OTHER, connected=True, recorded=False),
    Row("02", "20", Reason.HANG_UP, connected=True, deleted_once=has_answered),
    Row("01", "22", Reason.HANG_UP, connected=True, deleted_once=has_resumed),
    Row("00", "23", Reason.HANG_UP, connected=True, deleted_once=has_sent_digits),
    Row("02", "24", Reason.HANG_UP, connected=True, deleted_once=has_talked),
    Row("25", "02", Reason.HANG_UP, connected=True, deleted_once=has_talked),
    Row("27", "01", Reason.HANG_UP, connected=True, deleted_once=has_talked),
]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("outcomes")
    lab = lab_settings(folder)
    limits = {"no_answer_timeout": 8.0, "max_duration": MAX_DURATION, "record_digits": True}
    overrides = {
        "trunk": {"credentials": lab["trunk"]["credentials"]},
        "call": {**lab["call"], **limits},
        "quality": {"interval": 0.5},
    }
    with (
        running_phones(folder / "phones") as phones,
        Product(folder, trunk_port=phones.sip_port, overrides=overrides) as running,
    ):
        yield running


def lab_settings(folder: Path) -> dict[str, Any]:
    """What the phones need, as the lab sets it."""
    return tomllib.loads(LabSettings.fresh(var=folder, api_port=1, redis_url="", trunk_port=1).toml())


@pytest.fixture(scope="module")
def endings(product: Product) -> Iterator[dict[Row, str]]:
    """All rows' calls, placed at once: they do not disturb each other."""
    with Sink() as sink:
        calls = {
            row: product.create(
                fresh_number(row.caller),
                fresh_number(row.callee),
                sink=sink.url,
                recording=row.recorded or None,
            )
            for row in ROWS
        }
        living = {row: call_id for row, call_id in calls.items() if row.deleted_once}

        def are_deleted() -> bool:
            for row, call_id in [*living.items()]:
                if product.status(call_id) == "disconnected":
                    del living[row]  # too early: the row's own test fails
                elif row.deleted_once and row.deleted_once(product, call_id):
                    assert product.delete(call_id) == 204
                    # However long its phones take over it.
                    assert product.status(call_id) == "disconnected"
                    del living[row]
            return not living

        wait_until(are_deleted, 30, f"what ends {living}")
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
        assert call.recording_result is (RecordingResult.SUCCESS if row.recorded else None)
        assert product.rest.recording(call.id).status_code == (200 if row.recorded else 404)
    else:
        assert call.duration == 0
        assert call.recording_result is RecordingResult.NO_RECORD
        assert product.rest.recording(call.id).status_code == 404


# --- what the phones are there for


def call_with(phone: str, endings: dict[Row, str]) -> str:
    return next(call_id for row, call_id in endings.items() if phone in (row.caller, row.callee))


def test_20_plays_early_media_before_it_answers(product: Product, endings: dict[Row, str]) -> None:
    call_id = call_with("20", endings)
    invite = [m for m in traced(product, call_id, "callee", "received") if m.method == "INVITE"]
    assert [m.status for m in invite if m.status > 100] == [183, 200]
    log = [line for line in product.engine.log.read_text().splitlines() if call_id in line]
    steps = [re.search(r"early media|phase=connected", line) for line in log]
    assert [step[0] for step in steps if step][:2] == ["early media", "phase=connected"]


def test_22_holds_and_resumes(product: Product, endings: dict[Row, str]) -> None:
    offers = requests(product, call_with("22", endings), "callee", "received", "INVITE")
    assert [offer.sdp.direction for offer in offers] == [Direction.SENDONLY, Direction.SENDRECV]


def test_the_digits_of_23_reach_the_other_party(product: Product, endings: dict[Row, str]) -> None:
    """Which is one that returns whatever it gets."""
    digits = product.call(call_with("23", endings)).digits
    for leg in ("callee", "caller"):
        assert "".join(press.digit for press in digits if press.leg == leg) == "1234#"


def test_24_is_called_at_the_number_that_ends_in_01(product: Product, endings: dict[Row, str]) -> None:
    call = product.call(call_with("24", endings))
    invites = requests(product, call.id, "callee", "sent", "INVITE")
    assert [invite.user for invite in invites] == [call.callee, f"{call.callee[:-2]}01"]


def test_25_gets_the_lab_s_credentials(product: Product, endings: dict[Row, str]) -> None:
    first, second = requests(product, call_with("25", endings), "caller", "sent", "INVITE")
    assert not first.has("Authorization")
    assert 'username="lab"' in second.header("Authorization")


def test_26_is_lost_when_it_has_been_silent_too_long(product: Product, endings: dict[Row, str]) -> None:
    call = product.call(call_with("26", endings))
    assert call.duration is not None
    assert call.duration >= product.settings.call.media_timeout
    for leg in ("caller", "callee"):
        (bye,) = requests(product, call.id, leg, "sent", "BYE")
        assert bye.header("Reason") == "Q.850;cause=41"


def test_nobody_waits_for_27_to_answer_the_bye(product: Product, endings: dict[Row, str]) -> None:
    for row, leg in ((row, leg) for row in ROWS for leg in ("caller", "callee")):
        if getattr(row, leg) == "27":
            assert requests(product, endings[row], leg, "sent", "BYE")
            answers = traced(product, endings[row], leg, "received")
            assert [m.status for m in answers if m.method == "BYE"] == []


def test_a_call_ends_at_its_maximum_duration(product: Product, endings: dict[Row, str]) -> None:
    (row,) = [row for row in ROWS if not row.recorded]
    assert product.call(endings[row]).duration == MAX_DURATION


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
