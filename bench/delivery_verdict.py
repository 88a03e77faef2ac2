"""Whether each event of the delivery bench went where it had to, in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.delivery_load import MadeCall
from bench.delivery_sinks import Arrival, Manner

TAKEN_BEFORE_GONE = 1


@dataclass(slots=True)
class Verdict:
    faults: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    """Seconds from transition to first arrival, of each event at healthy sinks."""
    counts: Counter[str] = field(default_factory=Counter)


def judge(
    made: Iterable[MadeCall],
    manners: Sequence[Manner],
    arrivals: Iterable[Arrival],
    *,
    waiting: Mapping[str, Sequence[str]],
    dead_letters: Mapping[str, Sequence[str]],
) -> Verdict:
    """`arrivals` in the order of time; `waiting`, `dead_letters`: event ids by call."""
    verdict = Verdict()
    at_sink: defaultdict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        at_sink[arrival.call_id].append(arrival)
    for call in made:
        arrived, manner = at_sink.pop(call.call_id, []), manners[call.sink]
        kept, buried = waiting.get(call.call_id, ()), dead_letters.get(call.call_id, ())
        ids = list(call.events)
        faults = _faults(call, manner, arrived, kept, buried)
        verdict.faults += [f"call {call.call_id} at a {manner} sink: {fault}" for fault in faults]
        taken = [one.event_id for one in arrived if one.is_taken]
        verdict.counts["events"] += len(ids)
        verdict.counts["taken by sinks"] += len(set(taken))
        verdict.counts["taken more than once"] += len(taken) - len(set(taken))
        verdict.counts["attempts that reached a sink in vain"] += len(arrived) - len(taken)
        verdict.counts["sent again after a 410"] += max(0, _refusals(arrived) - 1)
        verdict.counts["dead letters after a 410"] += len(buried)
        verdict.counts["still waiting for dead sinks"] += len(kept)
        if manner is Manner.HEALTHY:
            first = {one.event_id: one.at for one in reversed(arrived)}
            verdict.delays += [first[event] - at for event, at in call.events.items() if event in first]
    verdict.faults += [f"call {call_id} reached a sink and was never made" for call_id in at_sink]
    return verdict


def _faults(
    call: MadeCall,
    manner: Manner,
    arrived: Sequence[Arrival],
    kept: Sequence[str],
    buried: Sequence[str],
) -> list[str]:
    ids, faults = list(call.events), []
    if unknown := [one for one in arrived if one.event_id not in call.events]:
        return [f"{len(unknown)} events that it never had"]
    order = [ids.index(one.event_id) for one in arrived]
    if order != sorted(order):
        faults.append(f"out of order: {order}")
    if manner.is_dead:
        if list(kept) != ids:
            faults.append(f"{len(kept)} of {len(ids)} events wait")
        return faults
    taken = {one.event_id for one in arrived if one.is_taken}
    wanted = ids[:TAKEN_BEFORE_GONE] if call.is_gone else ids
    faults += [f"event {ids.index(event)} was lost" for event in wanted if event not in taken]
    if kept:
        faults.append(f"{len(kept)} events wait")
    if list(buried) != ids[len(wanted) :]:
        faults.append(f"{len(buried)} dead letters")
    after = arrived[[one.status for one in arrived].index(410) + 1 :] if _refusals(arrived) else []
    if later := [one for one in after if one.event_id != ids[len(wanted)]]:
        faults.append(f"{len(later)} events after a 410")
    return faults


def _refusals(arrived: Sequence[Arrival]) -> int:
    return sum(one.status == 410 for one in arrived)
