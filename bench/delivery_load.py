"""Calls for the delivery bench: made and moved through their states in the store, as an engine would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import TypeVar
from uuid import UUID

from bench.delivery_sinks import GONE_PATH, Sinks
from state.call import Call, CallEvent, CallState, DisconnectionReason, Transition, utc_now
from state.calls import CallStore, Duplicate, Placed, TransitionResult
from state.connection import UNREACHABLE
from state.engines import EngineRegistry, EngineState, EngineStatus

T = TypeVar("T")

STEPS = (
    (CallState.CALLING_CALLER, 0.02, 0.05),
    (CallState.CALLING_CALLEE, 0.2, 1.0),
    (CallState.CONNECTED, 0.2, 1.0),
    (CallState.DISCONNECTED, 0.5, 2.0),
)
"""After `initiating`; seconds since the step before, at least and at most."""
GONE_EVERY = 20
"""Of so many calls at a sink, one is not wanted any more after its first event."""
HEARTBEAT = 1.0
RETRY_AFTER = 0.05


def enterprise_id(sink: int) -> str:
    return f"e{sink:02d}"


@dataclass(slots=True)
class MadeCall:
    call_id: str
    sink: int
    is_gone: bool
    """Its sink answers 410 to the second event that it is asked to take."""
    events: dict[str, float] = field(default_factory=dict)
    """Ids, in order, and when the transition began (monotonic seconds)."""


class Load:
    def __init__(self, calls: CallStore, engines: EngineRegistry, sinks: Sinks, random: Random) -> None:
        self._calls, self._engines, self._sinks, self._random = calls, engines, sinks, random
        self._engine_id = self._new_id()
        self.made: list[MadeCall] = []

    async def run(self, calls: int, rate: float) -> None:
        """Until each of `calls` calls, `rate` per second, has ended; however long Redis is away."""
        await self._heartbeat(capacity=calls)
        beating = asyncio.create_task(self._beat(calls))
        places = [number % len(self._sinks.ports) for number in range(calls)]
        self._random.shuffle(places)
        begin = monotonic()
        try:
            async with asyncio.TaskGroup() as lives:
                for number, sink in enumerate(places):
                    await asyncio.sleep(max(0.0, begin + number / rate - monotonic()))
                    lives.create_task(self._live(number, sink))
        finally:
            beating.cancel()

    async def _live(self, number: int, sink: int) -> None:
        made = MadeCall(
            self._new_id(), sink, is_gone=number % GONE_EVERY == 0 and not self._sinks.manners[sink].is_dead
        )
        self.made.append(made)
        path = f"{GONE_PATH}{made.call_id}" if made.is_gone else "/events"
        call = Call(
            id=made.call_id,
            client_id="bench",
            enterprise_id=enterprise_id(sink),
            caller=f"+4420{2 * number:08d}",
            callee=f"+4420{2 * number + 1:08d}",
            presented_number="+442079460000",
            created_at=utc_now(),
            sink=self._sinks.root(sink) + path,
            sink_token="bench",  # noqa: S106
        )
        first = CallEvent(id=self._new_id(), call_id=call.id, state=call.state, at=call.created_at)
        made.events[first.id] = monotonic()
        await _patiently(lambda: self._create(call, first))
        for state, least, most in STEPS:
            await asyncio.sleep(self._random.uniform(least, most))
            ending = state.is_terminal
            step = Transition.to(
                state,
                call_id=call.id,
                epoch=1,
                at=utc_now(),
                reason=DisconnectionReason.HANG_UP if ending else None,
                duration=1 if ending else None,
            )
            made.events[step.event.id] = monotonic()
            answer = await _patiently(lambda step=step: self._calls.transition(step))  # type: ignore[misc]
            if answer is not TransitionResult.APPLIED:
                raise RuntimeError(f"the transition of {call.id} to {state} was {answer}")

    async def _create(self, call: Call, first: CallEvent) -> None:
        match await self._calls.create(call, first):
            case Placed():
                return
            case Duplicate(call_id) if call_id == call.id:
                return  # it was made, and Redis went before it could say so
            case other:
                raise RuntimeError(f"{call.id} was not made: {other}")

    async def _beat(self, capacity: int) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            await _patiently(lambda: self._heartbeat(capacity))

    async def _heartbeat(self, capacity: int) -> None:
        await self._engines.heartbeat(
            EngineStatus(
                engine_id=self._engine_id,
                name="bench",
                pid=1,
                state=EngineState.UP,
                capacity=capacity,
                sip_address="127.0.0.1:5080",
                calls=0,
                legs=0,
                bridge_ports=0,
                recorders=0,
                timers=0,
            )
        )

    def _new_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """What is asked of Redis may be asked again: a retried transition is applied once."""
    while True:
        try:
            return await ask()
        except UNREACHABLE:
            await asyncio.sleep(RETRY_AFTER)
