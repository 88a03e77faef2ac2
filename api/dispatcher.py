"""From the outbox to the sinks: what is tried when, and how many at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass

import structlog

from api.delivery import Attempt, Courier, backoff
from api.sink_health import Sink, SinkHealth
from api.sinks import sink_authority
from config import Settings
from state.call import Call, utc_now
from state.calls import CallStore
from state.connection import UNREACHABLE
from state.delivery_counts import DeliveryCounts, DeliveryOutcome
from state.outbox import Delivery, Outbox

log = structlog.get_logger()

IDLE = 5.0
"""Seconds between looks at the outbox if nothing wakes us."""
OUTAGE_DELAY = 0.5
"""Seconds between attempts to reach Redis again."""
PARKED_PER_SINK = 256


@dataclass(frozen=True, slots=True)
class Leased:
    """A delivery that is ours until `start_before` (monotonic seconds) at the latest."""

    delivery: Delivery
    call: Call
    sink: str
    """Its authority."""
    start_before: float

    @property
    def health_key(self) -> Sink:
        return self.call.enterprise_id, self.sink


class Dispatcher:
    """Delivers what is due, in order per call (the outbox leases one event per call at a time).

    One sink gets at most half of the slots, so that a slow one cannot hold up the others. What exceeds its
    share waits in memory for as long as its lease covers a whole attempt, then is left to the outbox again.
    A sink that is down gets one attempt at a time (sink_health.py).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        outbox: Outbox,
        calls: CallStore,
        counts: DeliveryCounts,
        courier: Courier,
    ) -> None:
        self._notifier = settings.notifier
        self._outbox, self._calls, self._counts, self._courier = outbox, calls, counts, courier
        self._lease = 1.5 * settings.notifier.timeout
        self._per_sink = max(1, settings.notifier.concurrency // 2)
        self._running: set[asyncio.Task[None]] = set()
        self._per_sink_running: Counter[str] = Counter()
        self._parked: defaultdict[str, deque[Leased]] = defaultdict(deque)
        self._health = SinkHealth(settings.notifier.backoff_initial)
        self._wake = asyncio.Event()
        self._stopping = False
        self._outage = False

    def wake(self) -> None:
        """Something may be due, or a slot is free."""
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stopping:
            self._wake.clear()
            try:
                delay = await self._dispatch()
                self._reachable()
            except UNREACHABLE as error:
                self._unreachable(error)
                delay = OUTAGE_DELAY
            except Exception:
                log.exception("dispatch_failed")  # one unreadable record must not stop all deliveries
                delay = OUTAGE_DELAY
            await self._sleep(delay)
        await self._drain()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when the attempts in progress have ended."""
        self._stopping = True
        self.wake()

    async def _drain(self) -> None:
        parked = [leased for queue in self._parked.values() for leased in queue]
        self._parked.clear()
        try:
            for leased in parked:
                await self._outbox.defer(leased.delivery, 0)
        except UNREACHABLE as error:
            self._unreachable(error)  # their leases run out
        while self._running:
            await asyncio.wait(self._running)

    async def _dispatch(self) -> float:
        """Start what can be started; seconds until the next look."""
        room = self._notifier.concurrency - len(self._running)
        if room == 0:
            return IDLE
        claimed_at = time.monotonic()
        deliveries = await self._outbox.claim(lease=self._lease, at_most=room)
        start_before = claimed_at + self._lease - 1.1 * self._notifier.timeout
        records = (self._calls.get(delivery.event.call_id) for delivery in deliveries)
        calls = await asyncio.gather(*records, return_exceptions=True)
        for delivery, call in zip(deliveries, calls, strict=True):
            if isinstance(call, Call) and call.sink is not None:
                await self._admit(Leased(delivery, call, sink_authority(call.sink), start_before))
            else:
                await self._set_aside(delivery, call)
        if len(deliveries) == room:
            return 0
        due = await self._outbox.seconds_until_due()
        return IDLE if due is None else min(due, IDLE)

    async def _set_aside(self, delivery: Delivery, record: Call | BaseException | None) -> None:
        """There is no sink to send this event to."""
        if isinstance(record, UNREACHABLE):
            raise record
        entry = log.bind(call_id=delivery.event.call_id, event_id=delivery.event.id)
        if isinstance(record, BaseException):
            entry.error("call_record_unreadable", exc_info=record)
            await self._outbox.postpone(delivery, backoff(self._notifier, delivery.failed_attempts))
        else:
            entry.error("event_without_call")
            await self._outbox.settle(delivery)

    async def _admit(self, leased: Leased) -> None:
        if (wait := self._health.wait(leased.health_key)) > 0:
            await self._outbox.defer(leased.delivery, wait)
            return
        queue = self._parked[leased.sink]
        if self._per_sink_running[leased.sink] < self._per_sink:
            self._start(leased)
        elif len(queue) < PARKED_PER_SINK:
            queue.append(leased)
        # Else its lease runs out and it is due again.
        if not queue:
            del self._parked[leased.sink]

    def _start(self, leased: Leased) -> None:
        self._health.began(leased.health_key)
        self._per_sink_running[leased.sink] += 1
        task = asyncio.create_task(self._deliver(leased))
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, leased.sink))

    def _ended(self, task: asyncio.Task[None], sink: str) -> None:
        self._running.discard(task)
        self._per_sink_running[sink] -= 1
        if self._per_sink_running[sink] == 0:
            del self._per_sink_running[sink]
        queue = self._parked.get(sink)
        while queue:
            following = queue.popleft()
            # Else its lease runs out and it is due again.
            if following.start_before > time.monotonic() and self._health.wait(following.health_key) == 0:
                self._start(following)
                break
        if queue is not None and not queue:
            self._parked.pop(sink, None)
        self.wake()
        if (error := task.exception()) is not None:
            log.error("delivery_not_recorded", exc_info=error)

    async def _deliver(self, leased: Leased) -> None:
        delivery = leased.delivery
        try:
            result = await self._courier.attempt(leased.call, delivery.event)
        except Exception as error:
            log.exception("delivery_crashed", call_id=delivery.event.call_id)
            result = Attempt(DeliveryOutcome.RETRIED, type(error).__name__)
        if result.sink_is_down:
            self._health.missed(leased.health_key)
        else:
            self._health.reached(leased.health_key)
        delay = max(backoff(self._notifier, delivery.failed_attempts), result.retry_after)
        # A sink that asks for patience gets it, but is asked once more before the event is given up.
        delay = min(delay, self._notifier.give_up_after)
        await self._record(delivery, self._concluded(delivery, result), delay)

    def _concluded(self, delivery: Delivery, result: Attempt) -> DeliveryOutcome:
        """The outcome, with patience at an end after `give_up_after`; and its log line."""
        outcome = result.outcome
        age = (utc_now() - delivery.event.at).total_seconds()
        if outcome is DeliveryOutcome.RETRIED and age > self._notifier.give_up_after:
            outcome = DeliveryOutcome.GIVEN_UP
        entry = log.bind(
            call_id=delivery.event.call_id,
            event_id=delivery.event.id,
            state=delivery.event.state.value,
            attempt=delivery.failed_attempts + 1,
            answer=result.explanation,
        )
        match outcome:
            case DeliveryOutcome.DELIVERED:
                entry.info("event_delivered")
            case DeliveryOutcome.RETRIED:
                entry.warning("event_not_delivered")
            case DeliveryOutcome.REFUSED:
                entry.warning("event_refused_by_sink")
            case DeliveryOutcome.TOKEN_EXPIRED:
                entry.warning("sink_token_expired")
            case DeliveryOutcome.GIVEN_UP:
                entry.error("event_given_up")
        return outcome

    async def _record(self, delivery: Delivery, outcome: DeliveryOutcome, delay: float) -> None:
        """Tell the outbox, however long Redis is away: a delivered event must not be delivered again.

        `delay`: seconds until the next attempt, if there is to be one.
        """
        while True:
            try:
                match outcome:
                    case DeliveryOutcome.DELIVERED:
                        await self._outbox.settle(delivery)
                    case DeliveryOutcome.RETRIED:
                        await self._outbox.postpone(delivery, delay)
                    case _:
                        await self._outbox.bury(delivery, outcome)
                await self._counts.add(outcome)
                return
            except UNREACHABLE as error:
                self._unreachable(error)
                if self._stopping:
                    return
                await asyncio.sleep(OUTAGE_DELAY)

    async def _sleep(self, delay: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), delay)
        except TimeoutError:
            return

    def _unreachable(self, error: BaseException) -> None:
        if not self._outage:
            self._outage = True
            log.error("redis_unreachable", error=repr(error))

    def _reachable(self) -> None:
        if self._outage:
            self._outage = False
            log.info("redis_reachable_again")
