"""The judge of the delivery bench: it must report each kind of fault, and nothing of what went well."""

from __future__ import annotations

import pytest

from bench.delivery_load import MadeCall
from bench.delivery_sinks import Arrival, Manner
from bench.delivery_verdict import Verdict, judge

MANNERS = (Manner.HEALTHY, Manner.SILENT)
IDS = ("a", "b", "c")


def made(*, sink: int = 0, is_gone: bool = False) -> MadeCall:
    return MadeCall("call", sink, is_gone, {event: 10.0 + number for number, event in enumerate(IDS)})


def verdict(
    call: MadeCall,
    arrived: str,
    *,
    waiting: str = "",
    buried: str = "",
    statuses: dict[int, int] | None = None,
) -> Verdict:
    """`arrived`: ids in the order of their arrival, answered 204 but for those of `statuses`."""
    arrivals = [
        Arrival(11.0 + at, 0, "/", (statuses or {}).get(at, 204), {"id": event, "data": {"callId": "call"}})
        for at, event in enumerate(arrived)
    ]
    return judge([call], MANNERS, arrivals, waiting={"call": waiting}, dead_letters={"call": buried})


GOOD = {
    "each once": verdict(made(), "abc"),
    "one twice": verdict(made(), "aabc"),
    "one that was refused first": verdict(made(), "aabc", statuses={0: 503}),
    "gone": verdict(made(is_gone=True), "ab", statuses={1: 410}, buried="bc"),
    "a dead sink": verdict(made(sink=1), "", waiting="abc"),
}
BAD = {
    "event 1 was lost": verdict(made(), "ac"),
    "event 2 was lost": verdict(made(), "abc", statuses={2: 503}),
    "out of order: [0, 2, 1]": verdict(made(), "acb"),
    "out of order: [0, 1, 2, 1]": verdict(made(), "abcb"),
    "1 events wait": verdict(made(), "abc", waiting="c"),
    "1 dead letters": verdict(made(), "abc", buried="c"),
    "1 events after a 410": verdict(made(is_gone=True), "abc", statuses={1: 410}, buried="bc"),
    "2 of 3 events wait": verdict(made(sink=1), "", waiting="ab"),
    "1 events that it never had": verdict(made(), "abcd"),
}


@pytest.mark.parametrize("case", GOOD)
def test_nothing_is_said_of_what_went_well(case: str) -> None:
    assert GOOD[case].faults == []


@pytest.mark.parametrize("fault", BAD)
def test_each_fault_is_reported(fault: str) -> None:
    assert [told.split(": ", 1)[1] for told in BAD[fault].faults] == [fault]


def test_what_comes_again_is_counted() -> None:
    counts = verdict(made(is_gone=True), "aabb", statuses={2: 410, 3: 410}, buried="bc").counts
    assert (counts["taken more than once"], counts["sent again after a 410"]) == (1, 1)


def test_a_delay_is_from_the_transition_to_the_first_arrival() -> None:
    assert verdict(made(), "aabc").delays == [1.0, 2.0, 2.0]


def test_a_call_that_nobody_made_is_reported() -> None:
    arrival = Arrival(1.0, 0, "/", 204, {"id": "a", "data": {"callId": "other"}})
    assert judge([], MANNERS, [arrival], waiting={}, dead_letters={}).faults == [
        "call other reached a sink and was never made"
    ]
