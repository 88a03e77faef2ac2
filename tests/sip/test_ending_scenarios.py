"""The scenario files of how calls end, played by SIPp: the outcome, and the messages of each leg."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import pytest

from state.call import DisconnectionReason as Reason
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended
from tests.sip.scenarios import ScenarioTrunk
from tests.support.lossy_path import LossyPath
from tests.support.sip_client import SipText
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

PLAIN, SITUATION = "01", "99"
"""What a number ends in: a plain phone's, and one of the situation's."""


@pytest.fixture(scope="module")
def overrides(path: LossyPath | None) -> Overrides:
    return {
        "call": {
            # Time for the INVITE's copies, of which four may be lost.
            "no_progress_timeout": 9.0 if path else 1.5,
            "no_answer_timeout": 12.0 if path else 3.0,
            "media_timeout": 2.0,
            "max_duration": 5.0,
        },
        "trunk.credentials": {"username": "dialbridge", "password": "secret"},
    }


@dataclass(frozen=True)
class Row:
    """Messages in any order, without copies and provisional responses; after a colon a Reason's cause."""

    scenario: str
    reason: Reason
    situation: str
    """What passes on the leg of the situation."""
    plain: str = ""
    """And on the other one."""
    leg: str = "callee"
    """Whose the situation is."""
    delete: str = ""
    """When the client ends the call: "ringing" or "connected"."""
    pause: int = 0
    """The scenario's -d, in milliseconds; LATE: after we have given up."""
    redirected: bool = False
    """There is one more INVITE, to another number."""

    def __str__(self) -> str:
        return f"{self.scenario}-{self.reason}-{self.leg}"

    @property
    def legs(self) -> int:
        """Dialogs that SIPp sees."""
        return 1 + bool(self.plain) + self.redirected


def ended(cause: int | str) -> str:
    """A plain phone's messages, ended with this cause."""
    return f"INVITE 200 ACK BYE:{cause} 200"


LATE = -1
ALWAYS_LOSSY = {
    "max-duration",
    "hang-up",
    "cancel-crosses-answer",
    "answered-twice",
    "redirect",
    "challenge-401",
}
CANCELLED = "INVITE CANCEL:{} 200 487 ACK"
ROWS = [
    Row("no-answer", Reason.CALLEE_NO_ANSWER, CANCELLED.format(19), ended(19)),
    Row("no-answer", Reason.CALLER_NO_ANSWER, CANCELLED.format(19), leg="caller"),
    Row("no-answer", Reason.HANG_UP, CANCELLED.format(16), ended(16), delete="ringing"),
    Row("no-response", Reason.CALLEE_NO_ANSWER, CANCELLED.format(18), ended(18), pause=LATE),
    Row("late-answer", Reason.CALLER_NO_ANSWER, ended(18), leg="caller", pause=LATE),
    Row("no-media", Reason.OTHER, ended(41), ended(41)),
    Row("max-duration", Reason.OTHER, ended(102), ended(102)),
    Row("hang-up", Reason.HANG_UP, ended(31), ended(31), pause=500),
    Row("hang-up", Reason.HANG_UP, ended(31), ended(31), leg="caller", pause=1500),
    Row("caller-gives-up", Reason.CALLER_ABANDON, CANCELLED.format(16), "INVITE 200 ACK BYE 200", pause=1000),
    Row("bye-unanswered", Reason.HANG_UP, ended(16), ended(16), delete="connected", pause=2500),
    Row(
        "cancel-crosses-answer",
        Reason.HANG_UP,
        "INVITE CANCEL:16 200 200 ACK BYE:16 200",
        ended(16),
        delete="ringing",
    ),
    Row(
        "cancel-unknown",
        Reason.HANG_UP,
        "INVITE CANCEL:16 481 200 ACK BYE:16 200",
        ended(16),
        delete="ringing",
        pause=1000,
    ),
    Row("ack-lost", Reason.HANG_UP, "INVITE 200 ACK BYE 200", ended(16)),
    Row("answered-twice", Reason.HANG_UP, "INVITE 200 ACK 200 ACK BYE:26 200 BYE 200", ended(16)),
    *(
        Row(
            scenario,
            Reason.HANG_UP,
            f"INVITE {status} ACK {ended(16)}",
            ended(16),
            leg,
            delete="connected",
            redirected=True,
        )
        for scenario, status, leg in (
            ("redirect", 302, "caller"),
            ("redirect", 302, "callee"),
            ("redirect-choices", 300, "callee"),
        )
    ),
    Row("redirect-forbidden", Reason.CALLEE_FAILURE, "INVITE 302 ACK", ended(31)),
    Row("redirect-forbidden", Reason.CALLER_FAILURE, "INVITE 302 ACK", leg="caller"),
    Row(
        "redirect-loop",
        Reason.CALLEE_FAILURE,
        "INVITE 302 ACK INVITE 302 ACK",
        ended(31),
        redirected=True,
    ),
    *(
        Row(f"challenge-{status}", Reason.HANG_UP, both, both, delete="connected")
        for status, both in ((status, f"INVITE {status} ACK {ended(16)}") for status in (401, 407))
    ),
    Row("challenge-refused", Reason.CALLEE_FAILURE, "INVITE 401 ACK INVITE 401 ACK", ended(21)),
    Row("challenge-bye", Reason.HANG_UP, f"{ended(16)} BYE:16 401", ended(16), delete="connected"),
    Row("refused-488", Reason.CALLEE_FAILURE, "INVITE 488 ACK", ended(88)),
    Row("refused-488", Reason.CALLER_FAILURE, "INVITE 488 ACK", leg="caller"),
    Row("failure-with-cause", Reason.CALLEE_BUSY, "INVITE 503:17 ACK", ended(17)),
    Row("failure-with-cause", Reason.CALLER_BUSY, "INVITE 503:17 ACK", leg="caller"),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_scenario_plays_to_its_end(sipp: ScenarioTrunk, path: LossyPath | None, row: Row) -> None:
    late = 12_000 if path else 3000
    play(sipp, row, late if row.pause == LATE else row.pause)


@pytest.mark.paths("lossy")
@pytest.mark.parametrize("row", [row for row in ROWS if row.scenario in ALWAYS_LOSSY], ids=str)
def test_a_scenario_plays_to_its_end_whatever_is_lost(sipp: ScenarioTrunk, row: Row) -> None:
    """A part of what `--lossy` does with all of them."""
    play(sipp, row, row.pause)


def play(sipp: ScenarioTrunk, row: Row, pause: int) -> None:
    product = sipp.product
    endings = {"caller": PLAIN, "callee": PLAIN, row.leg: SITUATION}
    with sipp.playing(row.scenario, legs=row.legs, options=("-d", str(pause)) if pause else ()):
        call_id = product.create(fresh_number(endings["caller"]), fresh_number(endings["callee"]))
        if row.delete == "ringing":
            wait_until(lambda: "180" in words(product, call_id, row.leg), what="a ringing phone")
        elif row.delete:
            product.wait_status(call_id, row.delete)
        if row.delete:
            assert product.delete(call_id) == 204
        assert_ended(product, call_id, row.reason, timeout=30.0)
    other = "caller" if row.leg == "callee" else "callee"
    for leg, expected in ((row.leg, row.situation), (other, row.plain)):
        passed = sorted(expected.split())
        with suppress(AssertionError):
            wait_until(lambda leg=leg, passed=passed: finals(product, call_id, leg) == passed, 5.0)  # type: ignore[misc]
        assert finals(product, call_id, leg) == passed, leg


def finals(product: Product, call_id: str, leg: str) -> list[str]:
    return sorted(word for word in words(product, call_id, leg) if not word.startswith("1"))


def words(product: Product, call_id: str, leg: str) -> list[str]:
    """The messages of a leg in both directions, each once."""
    messages = [SipText(m.text) for m in product.sip_messages(call_id) if m.leg == leg]
    return [word(message) for message in dict.fromkeys(messages)]


def word(message: SipText) -> str:
    name = str(message.status or message.method)
    causes = (value.partition("Q.850;cause=")[2].partition(";")[0] for value in message.headers("Reason"))
    return ":".join((name, *filter(None, causes)))
