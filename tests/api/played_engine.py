"""An engine without telephones: a real entry in the registry, whose calls go where the tests send them."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar
from uuid import uuid4

from state.call import (
    Call,
    CallEvent,
    CallState,
    DisconnectionReason,
    Findings,
    RecordingResult,
    Transition,
    utc_now,
)
from state.calls import CallStore, Placed, TransitionResult
from state.connection import connect
from state.engines import DialCommand, EngineRegistry, EngineState, EngineStatus, ReleaseCommand
from state.keys import Keys

T = TypeVar("T")

_numbers = itertools.count(1)


def new_number() -> str:
    """A number that no other test uses."""
    return f"+4420{next(_numbers):08d}"


class PlayedEngine:
    """Registers itself, and ends calls when asked to; runs in a thread of its own."""

    def __init__(
        self,
        redis_url: str,
        prefix: str,
        *,
        capacity: int = 1000,
        lost_after: float = 5.0,
        can_record: bool = True,
    ) -> None:
        self.engine_id = str(uuid4())
        self.dialled: dict[str, Call] = {}
        self.ignored: set[str] = set()
        """Calls whose release is not answered."""
        self.failing: set[str] = set()
        """Calls that turn out to have failed when their release is asked for."""
        self._capacity = capacity
        self._can_record = can_record
        self._loop = asyncio.new_event_loop()
        self.redis = connect(redis_url)
        keys = self.keys = Keys(prefix)
        self.calls = CallStore(self.redis, keys, retention=600, engine_lost_after=lost_after)
        self.registry = EngineRegistry(self.redis, keys, lost_after=lost_after)
        self._thread = threading.Thread(target=self._loop.run_forever, name=prefix, daemon=True)
        self._playing: Future[None] | None = None
        self._stopped = asyncio.Event()

    def start(self) -> None:
        self._thread.start()
        self.run(self._heartbeat())
        self._playing = asyncio.run_coroutine_threadsafe(self._play(), self._loop)

    def die(self) -> None:
        """Fall silent, without a word to anybody."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        if self._playing is not None:
            self._playing.result(10)

    def stop(self, *, retire: bool = True) -> None:
        self.die()
        if retire:
            self.run(self.registry.retire(self.engine_id))
        self.run(self.redis.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def create(self, **fields: Any) -> Call:
        """A call as the api would create it."""
        call = Call.model_validate(
            {
                "id": str(uuid4()),
                "client_id": "shop",
                "enterprise_id": "acme",
                "caller": new_number(),
                "callee": new_number(),
                "presented_number": "+442079460000",
                "created_at": utc_now(),
                **fields,
            }
        )
        first = CallEvent(id=str(uuid4()), call_id=call.id, state=call.state, at=call.created_at)
        assert isinstance(self.run(self.calls.create(call, first)), Placed)
        return call

    def advance(self, call_id: str, *states: CallState) -> None:
        for state in states:
            transition = Transition.to(state, call_id=call_id, epoch=1, at=utc_now())
            assert self.run(self.calls.transition(transition)) is TransitionResult.APPLIED

    def connect(self, call_id: str) -> None:
        self.advance(call_id, CallState.CALLING_CALLER, CallState.CALLING_CALLEE, CallState.CONNECTED)

    def end(
        self,
        call_id: str,
        reason: DisconnectionReason = DisconnectionReason.HANG_UP,
        *,
        duration: int = 0,
        recording_result: RecordingResult | None = None,
        recording_path: str | None = None,
    ) -> None:
        transition = Transition.to(
            CallState.DISCONNECTED,
            call_id=call_id,
            epoch=1,
            at=utc_now(),
            reason=reason,
            duration=duration,
            recording_result=recording_result,
            findings=Findings(recording_path=recording_path),
        )
        assert self.run(self.calls.transition(transition)) is TransitionResult.APPLIED

    def record(self, call_id: str) -> Call:
        call = self.run(self.calls.get(call_id))
        assert call is not None
        return call

    def states(self, call_id: str) -> list[CallState]:
        return [event.state for event in self.run(self.calls.events(call_id))]

    async def _play(self) -> None:
        last = "0"
        while not self._stopped.is_set():
            await self._heartbeat()
            last, commands = await self.registry.read_commands(self.engine_id, last, block=0.2)
            for command in commands:
                match command:
                    case DialCommand(call):
                        self.dialled[call.id] = call
                    case ReleaseCommand(call_id) if call_id not in self.ignored:
                        await self._release(call_id)

    async def _release(self, call_id: str) -> None:
        failing = call_id in self.failing
        await self.calls.transition(
            Transition.to(
                CallState.FAILED if failing else CallState.DISCONNECTED,
                call_id=call_id,
                epoch=1,
                at=utc_now(),
                reason=None if failing else DisconnectionReason.HANG_UP,
                duration=None if failing else 0,
            )
        )

    async def _heartbeat(self) -> None:
        await self.registry.heartbeat(
            EngineStatus(
                engine_id=self.engine_id,
                name="played",
                pid=1,
                state=EngineState.UP,
                capacity=self._capacity,
                sip_address="127.0.0.1:5080",
                calls=0,
                legs=0,
                bridge_ports=0,
                recorders=0,
                timers=0,
                can_record=self._can_record,
            )
        )
