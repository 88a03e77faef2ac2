"""From the outbox to the sinks: what is tried when, and how many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine

import structlog

from api.delivery import Attempt, Courier, backoff
from api.letters import letter_of
from config import Settings
from state.call import CallEvent, utc_now
from state.connection import UNREACHABLE
from state.delivery_counts import DeliveryOutcome
from state.events import Event
from state.outbox import Delivery, Meeting, Outbox, Pace

log = structlog.get_logger()

IDLE = 5.0
"""Seconds between looks at the outbox if nothing wakes us."""
OUTAGE_DELAY = 0.5
"""Seconds between attempts to reach Redis again."""
SLOW_AFTER = 1.0
"""Seconds after which a sink that has not answered is a slow one."""

Task = asyncio.Task[None]


class Dispatcher:
    """Delivers what is due, in order per owner (the outbox leases one event of each at a time).

    What is claimed is begun at once. Half of the slots are for sinks that are slow or down, so that these
    cannot hold up the others, however many they are; how many may be at one sink is the outbox's to say.
    """

    def __init__(self, settings: Settings, *, outbox: Outbox, courier: Courier) -> None:
        self._notifier = settings.notifier
        self._public_url = settings.api.public_url
        self._outbox, self._courier = outbox, courier
        self._lease = 1.5 * settings.notifier.timeout
        self._slow_slots = max(1, settings.notifier.concurrency // 2)
        self._prompt_slots = max(1, settings.notifier.concurrency - self._slow_slots)
        self._running: set[Task] = set()
        self._slow: set[Task] = set()
        """Those of `_running` whose sinks are slow or down."""
        self._marking: set[Task] = set()
        self._is_full = False
        """The last claim may have left something for want of a slot."""
        self._wake = asyncio.Event()
        self._stopping = False
        self._outage = False

    def wake(self) -> None:
        """Something may be due, or a slot is free."""
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`; then the attempts in progress are awaited."""
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
        while self._running:
            await asyncio.wait(self._running)

    def stop(self) -> None:
        """Claim nothing more; `run` returns when the attempts in progress have ended."""
        self._stopping = True
        self.wake()

    async def _dispatch(self) -> float:
        """Start what can be started; seconds until the next look."""
        room = self._notifier.concurrency - len(self._running)
        prompt = min(room, self._prompt_slots - len(self._running - self._slow))
        slow = min(room, self._slow_slots - len(self._slow))
        self._is_full = min(prompt, slow) <= 0
        if max(prompt, slow) <= 0:
            return IDLE
        claim = await self._outbox.claim(
            lease=self._lease, prompt=prompt, slow=slow, per_sink=self._notifier.concurrency_per_sink
        )
        self._is_full |= len(claim.deliveries) >= min(prompt, slow)
        for delivery in claim.deliveries:
            task = self._begin(self._deliver(delivery), self._running)
            if delivery.pace is not Pace.PROMPT:
                self._slow.add(task)
            task.add_done_callback(self._ended)
        return IDLE if claim.seconds_until_due is None else min(claim.seconds_until_due, IDLE)

    def _begin(self, work: Coroutine[None, None, None], kept: set[Task]) -> Task:
        task = asyncio.create_task(work)
        kept.add(task)
        task.add_done_callback(kept.discard)
        return task

    def _ended(self, task: Task) -> None:
        self._slow.discard(task)
        if self._is_full:
            self.wake()  # what is due for a sink with a free place, the outbox says
        if (error := task.exception()) is not None:
            log.error("delivery_not_recorded", exc_info=error)

    async def _deliver(self, delivery: Delivery) -> None:
        entry = log.bind(**_about(delivery.event))
        try:
            letter = letter_of(delivery, public_url=self._public_url)
        except ValueError as error:
            entry.error("record_unreadable", exc_info=error)
            delay = backoff(self._notifier, delivery.failed_attempts)
            await self._record(delivery, DeliveryOutcome.RETRIED, delay, Meeting.NOTHING)
            return
        if letter is None:
            entry.error("event_without_sink")
            await self._outbox.drop(delivery)
            return
        began = time.monotonic()
        lingering = asyncio.get_running_loop().call_later(
            SLOW_AFTER, self._lingers, delivery.sink, asyncio.current_task()
        )
        try:
            result = await self._courier.attempt(letter)
        except Exception as error:
            entry.exception("delivery_crashed")
            result = Attempt(DeliveryOutcome.RETRIED, type(error).__name__, sink_was_asked=False)
        finally:
            lingering.cancel()
        delay = max(backoff(self._notifier, delivery.failed_attempts), result.retry_after)
        # A sink that asks for patience gets it, but is asked once more before the event is given up.
        delay = min(delay, self._notifier.give_up_after)
        met = _met(result, time.monotonic() - began)
        await self._record(delivery, self._concluded(delivery, result), delay, met)

    def _lingers(self, sink: str, task: Task | None) -> None:
        """The attempt goes on in a slot of the slow ones, and so does what else is due for this sink."""
        if task is not None and task not in self._slow:
            self._slow.add(task)
            self._begin(self._mark_slow(sink), self._marking)
            self.wake()

    async def _mark_slow(self, sink: str) -> None:
        try:
            await self._outbox.mark_slow(sink)
        except UNREACHABLE as error:
            self._unreachable(error)  # the outcome of the attempt will say it

    def _concluded(self, delivery: Delivery, result: Attempt) -> DeliveryOutcome:
        """The outcome, with patience at an end after `give_up_after`; and its log line."""
        outcome = result.outcome
        age = (utc_now() - delivery.event.at).total_seconds()
        if outcome is DeliveryOutcome.RETRIED and age > self._notifier.give_up_after:
            outcome = DeliveryOutcome.GIVEN_UP
        entry = log.bind(
            **_about(delivery.event), attempt=delivery.failed_attempts + 1, answer=result.explanation
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

    async def _record(self, delivery: Delivery, outcome: DeliveryOutcome, delay: float, met: Meeting) -> None:
        """Tell the outbox, however long Redis is away: a delivered event must not be delivered again.

        `delay`: seconds until the next attempt, if there is to be one.
        """
        while True:
            try:
                match outcome:
                    case DeliveryOutcome.DELIVERED:
                        await self._outbox.settle(delivery, met)
                    case DeliveryOutcome.RETRIED:
                        await self._outbox.postpone(delivery, delay, met)
                    case _:
                        await self._outbox.bury(delivery, outcome, met)
                if outcome is DeliveryOutcome.RETRIED:
                    self.wake()  # of what becomes due at once, the outbox tells
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


def _about(event: Event) -> dict[str, str]:
    """For the log."""
    if isinstance(event, CallEvent):
        return {"call_id": event.call_id, "event_id": event.id, "state": event.state.value}
    return {"enterprise_id": event.enterprise_id, "event_id": event.id}


def _met(result: Attempt, took: float) -> Meeting:
    if result.sink_is_down:
        return Meeting.MISSED
    if not result.sink_was_asked:
        return Meeting.NOTHING
    return Meeting.SLOW if took > SLOW_AFTER else Meeting.PROMPT
