"""Whatever happens to calls and their pool, in any order: the books add up, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.lost_engines import ending_of
from config import PoolSettings
from state.call import LIVE_STATES, Call, CallState, DisconnectionReason, Transition, utc_now
from state.calls import CallStore, Duplicate, Placed, QuotaExceeded, TransitionResult
from state.connection import connect
from state.engines import EngineRegistry
from state.keys import Keys
from state.pool import MinutePools, TopUpResult
from state.pool_check import PoolCheck
from tests.state.test_calls import engine, new_call, step

T = TypeVar("T")

POOLS = (
    PoolSettings(minimum=1, slice=10),
    PoolSettings(minimum=60, slice=100, increment=6, low_water_minutes=5),
    PoolSettings(minimum=30, slice=300, increment=60, monthly_minutes=3),
    PoolSettings(minimum=60, slice=60, increment=60, monthly_minutes=7, carry_over=True),
)
which = st.integers(0, 99)
"""Of the calls there are, one."""


class PoolMachine(RuleBasedStateMachine):
    redis_url: ClassVar[str]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.redis = connect(self.redis_url)
        self.keys = Keys(f"test-{uuid4().hex}")
        self.store = CallStore(self.redis, self.keys, retention=600, engine_lost_after=600)
        self.pools = MinutePools(self.redis, self.keys)
        self.registry = EngineRegistry(self.redis, self.keys, lost_after=600)
        self.check = PoolCheck(self.redis, self.keys, retention=600)
        self.ids: list[str] = []
        self.ended: set[str] = set()
        self.added: dict[str, int] = {}
        self.year = 2099

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def record(self, call_id: str) -> Call:
        call = self.run(self.store.get(call_id))
        assert call is not None
        return call

    def live(self) -> list[Call]:
        calls = [self.record(call_id) for call_id in self.ids if call_id not in self.ended]
        self.ended |= {call.id for call in calls if call.state.is_terminal}
        return [call for call in calls if not call.state.is_terminal]

    def one_of(self, calls: list[Call], number: int) -> Call:
        return calls[number % len(calls)]

    @initialize(pool=st.sampled_from(POOLS), minutes=st.integers(1, 20))
    def begin(self, pool: PoolSettings, minutes: int) -> None:
        self.pool = pool
        self.run(self.registry.heartbeat(engine("e1", capacity=1000)))
        self.top_up(minutes, "first")

    # --- what may happen

    @rule(
        callees=st.lists(st.integers(0, 5), min_size=1, max_size=4),
        steps=st.integers(0, 3),
        free=st.sampled_from([False, False, False, True]),
    )
    def create(self, callees: list[int], steps: int, free: bool) -> None:
        """Several at once, which get on as far as `steps`. `free`: they need no pool."""
        pool = None if free else self.pool
        calls = [new_call(uuid4().hex, callee=f"+4477009000{callee:02}") for callee in callees]

        async def all_at_once() -> list[Any]:
            firsts = [step(call.id, CallState.INITIATING, epoch=0).event for call in calls]
            creating = [self.store.create(c, f, pool=pool) for c, f in zip(calls, firsts, strict=True)]
            return list(await asyncio.gather(*creating))

        for call, answer in zip(calls, self.run(all_at_once()), strict=True):
            assert isinstance(answer, Placed | Duplicate | QuotaExceeded)
            if isinstance(answer, Placed):
                self.ids.append(call.id)
                granted = self.record(call.id).granted_seconds
                assert granted is None if pool is None else pool.minimum <= (granted or 0) <= pool.slice
                for state in LIVE_STATES[1 : steps + 1]:
                    transition = step(call.id, state)
                    assert self.run(self.store.transition(transition)) is TransitionResult.APPLIED

    @precondition(lambda self: self.ids)
    @rule(number=which, repeated=st.booleans())
    def extend(self, number: int, repeated: bool) -> None:
        call = self.record(self.ids[number % len(self.ids)])
        granted = call.granted_seconds or 0
        asked = [self.run(self.pools.extend(call.id, call.epoch, granted)) for _ in range(1 + repeated)]
        if call.state.is_terminal or call.granted_seconds is None:
            assert set(asked) == {None}
        else:
            assert asked[0] is not None
            assert asked[0] >= granted
            assert asked[0] == asked[-1] or asked[0] == granted

    @precondition(lambda self: self.live())
    @rule(number=which, talked=st.integers(0, 400), times=st.integers(1, 3))
    def end(self, number: int, talked: int, times: int) -> None:
        """By its engine, which may repeat itself."""
        call = self.one_of(self.live(), number)
        transition = Transition.to(
            CallState.DISCONNECTED,
            call_id=call.id,
            epoch=call.epoch,
            at=utc_now(),
            reason=DisconnectionReason.HANG_UP,
            duration=talked if call.state is CallState.CONNECTED else 0,
        )
        for _ in range(times):
            assert self.run(self.store.transition(transition)) is TransitionResult.APPLIED

    @precondition(lambda self: self.live())
    @rule(number=which, lateness=st.sampled_from([0, 5, 1000]))
    def reap(self, number: int, lateness: int) -> None:
        """Its engine is lost, several notifiers notice it, and the engine comes back."""
        call = self.one_of(self.live(), number)
        at = (call.connected_at or call.created_at) + timedelta(seconds=lateness)

        async def all_at_once() -> list[TransitionResult]:
            reaping = [self.store.transition(ending_of(call, at), take_over=True) for _ in range(3)]
            late = self.store.transition(ending_of(call, at))
            return list(await asyncio.gather(*reaping, late))

        assert self.run(all_at_once()).count(TransitionResult.APPLIED) == 1

    @rule(minutes=st.integers(1, 12), reference=st.sampled_from("abcdef"))
    def top_up(self, minutes: int, reference: str) -> None:
        before = self.added.setdefault(reference, minutes)
        answer = self.run(self.pools.top_up("acme", self.pool, seconds=60 * minutes, reference=reference))
        assert (answer is TopUpResult.REFERENCE_USED) == (before != minutes)

    @rule(pool=st.sampled_from(POOLS))
    def new_month(self, pool: PoolSettings) -> None:
        """And perhaps other terms."""
        self.pool = pool
        self.year += 1
        self.run(self.pools.show("acme", pool, datetime(self.year, 1, 1, tzinfo=UTC)))

    # --- what is always so

    @invariant()
    def the_books_add_up(self) -> None:
        assert self.run(self.check.run(["acme"])) == []

    @invariant()
    def nothing_is_left_of_calls_that_have_ended(self) -> None:
        live = self.live()
        held = self.run(self._held())
        assert held == (
            {call.id for call in live},
            {call.id for call in live},
            {call.id: call.granted_seconds for call in live if call.granted_seconds is not None},
        )

    async def _held(self) -> tuple[set[str], set[str], dict[str, int]]:
        pairs = await self.redis.keys(f"{self.keys.root}pair:*")
        locked: Any = await self.redis.mget(pairs) if pairs else []
        members: Any = await self.redis.smembers(self.keys.enterprise_calls("acme"))
        reserved: Any = await self.redis.hgetall(self.keys.pool_reserved("acme"))
        return set(locked), set(members), {call_id: int(seconds) for call_id, seconds in reserved.items()}

    def teardown(self) -> None:
        live = {call.id for call in self.live()}
        for call_id in self.ids:
            events = self.run(self.store.events(call_id))
            assert sum(event.state.is_terminal for event in events) == (call_id not in live)
        self.run(self.redis.aclose())


@contextmanager
def running(redis_url: str) -> Iterator[type[PoolMachine]]:
    with asyncio.Runner() as runner:
        PoolMachine.redis_url, PoolMachine.runner = redis_url, runner
        yield PoolMachine


@pytest.mark.timeout(300)
def test_the_books_add_up_whatever_happens(redis_url: str) -> None:
    with running(redis_url) as machine:
        run_state_machine_as_test(
            machine, settings=settings(max_examples=60, stateful_step_count=30, deadline=None)
        )
