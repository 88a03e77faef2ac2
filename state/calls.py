"""Where calls are kept: creation, transitions, release and look-up."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from config import PoolSettings
from state.call import LIVE_STATES, Call, CallEvent, CallState, Findings, Transition
from state.connection import load_script, stream_entries
from state.keys import Keys
from state.pool import script_settings

PREDECESSORS: dict[CallState, tuple[CallState, ...]] = {
    CallState.CALLING_CALLER: (CallState.INITIATING,),
    CallState.CALLING_CALLEE: (CallState.CALLING_CALLER,),
    CallState.CONNECTED: (CallState.CALLING_CALLEE,),
    CallState.DISCONNECTED: LIVE_STATES,
    CallState.FAILED: tuple(state for state in LIVE_STATES if state is not CallState.CONNECTED),
}


@dataclass(frozen=True, slots=True)
class Placed:
    engine_id: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    call_id: str
    """The live call between the same two numbers."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for one request: repeated with the same content, it makes no second call."""

    key: str
    fingerprint: str
    """Of the request's content."""
    lifetime: int
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The request has made a call already."""

    call_id: str


class KeyReused:
    """The key belongs to a request of other content."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many new calls of `subject` in any period of so many seconds."""

    subject: tuple[str, ...]
    """Parts of a key's name, the first of them a kind."""
    calls: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Limits:
    """None: none."""

    max_calls: int | None = None
    """The enterprise's live ones at once."""
    max_cps: float | None = None
    """The enterprise's new ones per second."""
    rates: tuple[RateLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class TooOften:
    """One of the rate limits allows no call now: of those that do not, the one that lasts longest."""

    index: int
    """In `Limits.rates`."""
    retry_after: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """The enterprise's limits allow no call now."""

    retry_after: float | None
    """Seconds until they may; None: when one of its calls has ended."""


@dataclass(frozen=True, slots=True)
class QuotaExceeded:
    """The enterprise's pool has not enough free seconds for another call."""

    in_use: bool
    """It would have them if some of its live calls ended."""


class NoRoom:
    """No engine is up with a free slot."""


class NoRecorder:
    """Engines have room, but none of them can record another call."""


CreationResult = (
    Placed | Duplicate | NoRoom | NoRecorder | Repeated | KeyReused | TooMany | TooOften | QuotaExceeded
)


class TransitionResult(StrEnum):
    APPLIED = "applied"
    FENCED = "fenced"
    """Another owner, or a state this one cannot follow: the caller no longer decides about this call."""
    UNKNOWN = "unknown"


class ReleaseResult(StrEnum):
    REQUESTED = "requested"
    ENDED = "ended"
    UNKNOWN = "unknown"


def _to_hash(call: Call) -> dict[str, str]:
    return {
        field: value if isinstance(value, str) else json.dumps(value)
        for field, value in call.model_dump(mode="json", exclude_none=True).items()
    }


class CallStore:
    """Call records and their events. Every method may raise one of `state.connection.UNREACHABLE`."""

    def __init__(self, redis: Redis, keys: Keys, *, retention: int, engine_lost_after: float) -> None:
        """`retention`: seconds an ended call stays; `engine_lost_after`: seconds of an engine's silence."""
        self._redis = redis
        self._keys = keys
        self._retention = retention
        self._lost_after_ms = int(engine_lost_after * 1000)
        self._create = load_script(redis, "pool", "create_call")
        self._transition = load_script(redis, "pool", "transition")
        self._release = load_script(redis, "request_release")
        self._keep = load_script(redis, "keep_findings")
        self._attach = load_script(redis, "attach_recording")

    async def repeated(
        self, enterprise_id: str, client_id: str, idempotency: Idempotency
    ) -> Repeated | KeyReused | None:
        """What `create` would answer because of the key alone; None: nothing."""
        name = self._keys.idempotency(enterprise_id, client_id, idempotency.key)
        kept: Any = await self._redis.hgetall(name)
        if not kept:
            return None
        return Repeated(kept["call_id"]) if kept["fingerprint"] == idempotency.fingerprint else KeyReused()

    async def create(
        self,
        call: Call,
        first: CallEvent,
        *,
        limits: Limits = Limits(),
        pool: PoolSettings | None = None,
        idempotency: Idempotency | None = None,
    ) -> CreationResult:
        """Write a call as `initiating` and hand it to the engine with the most room, or change nothing.

        `pool`: whose seconds the call needs; None: none.
        """
        keys = self._keys
        names: list[str] = []
        values: list[str | int] = []
        if idempotency is not None:
            names = [keys.idempotency(call.enterprise_id, call.client_id, idempotency.key)]
            values = [idempotency.fingerprint, idempotency.lifetime]
        answer = await self._create(
            keys=[
                keys.call(call.id),
                keys.events(call.id),
                keys.pair(call.enterprise_id, call.caller, call.callee),
                keys.engines,
                keys.outbox(call.id),
                keys.outbox_due,
                keys.outbox_wake,
                keys.enterprise_calls(call.enterprise_id),
                keys.enterprise_pace(call.enterprise_id),
                *(keys.rate(rate.subject, rate.seconds) for rate in limits.rates),
                *names,
            ],
            args=[
                keys.root,
                call.id,
                json.dumps(_to_hash(call)),
                first.model_dump_json(exclude_none=True),
                self._lost_after_ms,
                "" if limits.max_calls is None else limits.max_calls,
                "" if limits.max_cps is None else limits.max_cps,
                json.dumps(
                    [{"calls": one.calls, "milliseconds": one.seconds * 1000} for one in limits.rates]
                ),
                json.dumps({"policy": call.policy.model_dump_json(exclude_defaults=True)}),
                "" if pool is None else script_settings(pool),
                *values,
            ],
        )
        match answer:
            case ["placed", engine_id]:
                return Placed(engine_id)
            case ["duplicate", call_id]:
                return Duplicate(call_id)
            case ["no_recorder"]:
                return NoRecorder()
            case ["repeated", call_id]:
                return Repeated(call_id)
            case ["too_many_calls"]:
                return TooMany(None)
            case ["too_fast", milliseconds]:
                return TooMany(milliseconds / 1000)
            case ["too_often", index, milliseconds]:
                return TooOften(index, milliseconds / 1000)
            case ["quota_exceeded", in_use]:
                return QuotaExceeded(bool(in_use))
            case ["key_reused"]:
                return KeyReused()
            case _:
                return NoRoom()

    async def get(self, call_id: str) -> Call | None:
        record = await self._redis.hgetall(self._keys.call(call_id))
        return Call.model_validate(record) if record else None

    async def events(self, call_id: str) -> list[CallEvent]:
        """All events so far, in order."""
        entries: Any = await self._redis.xrange(self._keys.events(call_id))
        return [CallEvent.model_validate_json(fields["event"]) for _, fields in entries]

    async def transition(self, transition: Transition, *, take_over: bool = False) -> TransitionResult:
        """Apply a transition atomically; `take_over` fences the owner that the call had until now."""
        keys, event, call_id = self._keys, transition.event, transition.call_id
        fields = {"state": event.state.value}
        at = event.at.isoformat()
        if event.state is CallState.CONNECTED:
            fields["connected_at"] = at
        if event.state.is_terminal:
            fields["ended_at"] = at
        if event.reason:
            fields["reason"] = event.reason.value
        if event.duration is not None:
            fields["duration"] = str(event.duration)
        if event.recording_result:
            fields["recording_result"] = event.recording_result.value
        fields |= transition.findings.fields
        answer = await self._transition(
            keys=[
                keys.call(call_id),
                keys.events(call_id),
                keys.outbox(call_id),
                keys.outbox_due,
                keys.outbox_wake,
                keys.sip(call_id),
                keys.cdrs,
                keys.dead_letters,
            ],
            args=[
                keys.root,
                call_id,
                transition.epoch,
                event.id,
                event.model_dump_json(exclude_none=True),
                json.dumps(fields),
                ",".join(PREDECESSORS[event.state]),
                self._retention if event.state.is_terminal else "",
                transition.epoch + take_over,
            ],
        )
        return TransitionResult(answer)

    async def keep_findings(self, call_id: str, findings: Findings) -> None:
        """What is known of a live call so far, should its engine die; one that has ended keeps its own."""
        await self._keep(keys=[self._keys.call(call_id)], args=[json.dumps(findings.fields)])

    async def attach_recording(self, call_id: str, path: str) -> bool:
        """Tell the record of a recording that was saved after its engine had died; False if there is none.

        `path`: relative to the recording root. Of an ended call, and of one that ends later, the recording
        result is `success`.
        """
        return bool(await self._attach(keys=[self._keys.call(call_id)], args=[path]))

    async def request_release(self, call_id: str) -> ReleaseResult:
        """Ask the owning engine to end the call."""
        answer = await self._release(keys=[self._keys.call(call_id)], args=[self._keys.root, call_id])
        return ReleaseResult(answer)

    async def wait_ended(self, call_id: str, within: float) -> Call | None:
        """The call's record once it is terminal; None if that takes more than `within` seconds (under 10)."""
        deadline = time.monotonic() + within
        last = "0"
        while (left := deadline - time.monotonic()) > 0:
            answer = await self._redis.xread({self._keys.events(call_id): last}, block=int(left * 1000) + 1)
            for entry_id, fields in stream_entries(answer):
                last = entry_id
                if CallEvent.model_validate_json(fields["event"]).state.is_terminal:
                    return await self.get(call_id)
        return None
