"""The engine's door to Redis: an asyncio loop on a thread of its own. It never touches pjsua2.

Commands come out of `inbox`; transitions, SIP messages and finished recordings go in through methods that may
be called from any thread and return at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog
from redis.exceptions import RedisError

from config import Settings
from engine import signals as sig
from media.live_recordings import LiveFolder
from media.recordings import RecordingStore
from media.wav_files import RecordingError
from policy.rules import Refusal
from state.call import Call, CallState, Findings, RecordingResult, Transition, utc_now
from state.calls import CallStore, TransitionResult
from state.connection import connect
from state.engines import Command, DialCommand, EngineRegistry, EngineStatus
from state.keys import Keys
from state.pool import MinutePools
from state.refusal_counts import RefusalCounts, Refused
from state.sip_trace import SipMessage, SipTrace

log = structlog.get_logger("engine")

T = TypeVar("T")

RETRY_DELAY = 0.25
"""Seconds between attempts while Redis cannot be reached."""
COMMAND_WAIT = 1.0
"""Seconds one blocking read of the command stream lasts."""
RECORDINGS_INTERVAL = 3600.0
"""Seconds between two looks for recordings that are too old, or that an engine left behind."""


@dataclass(frozen=True, slots=True)
class RecordingStored:
    call_id: str
    path: str | None


@dataclass(frozen=True, slots=True)
class QuotaGranted:
    call_id: str
    seconds: int
    """In all."""


@dataclass(frozen=True, slots=True)
class OwnershipLost:
    call_id: str


Incoming = Command | RecordingStored | QuotaGranted | OwnershipLost


class RedisLink:
    def __init__(
        self, settings: Settings, url: str, recordings: RecordingStore, status: EngineStatus
    ) -> None:
        """`status` is the first heartbeat; assign `self.status` to change the next one."""
        redis = self._redis = connect(url)
        keys = Keys(settings.redis.prefix)
        retention, lost_after = settings.call.retention, settings.engine.lost_after
        self.inbox: deque[Incoming] = deque()
        self._calls = CallStore(redis, keys, retention=retention, engine_lost_after=lost_after)
        self._pools = MinutePools(redis, keys)
        self._registry = EngineRegistry(redis, keys, lost_after=lost_after)
        self._trace = SipTrace(redis, keys, retention=retention)
        self._refusals = RefusalCounts(redis, keys)
        self._recordings = recordings
        # Threads of their own: many long recordings at once must not hold up the heartbeat.
        self._recorder_threads = ThreadPoolExecutor(4, thread_name_prefix="recordings")
        self.status = status
        self._interval = settings.engine.heartbeat_interval
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="redis-link", daemon=True)
        self._steps: dict[str, deque[Transition]] = defaultdict(deque)
        self._messages: list[SipMessage] = []
        self.broken = False
        """A task failed for a reason that waiting does not mend: the process must end and be started anew."""
        self._readers: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.Task[None]] = set()
        self._beat = asyncio.Event()

    # --- called by the PJ thread

    def start(self) -> None:
        self._thread.start()

    def publish(self, call: Call, step: sig.Publish, findings: Findings) -> None:
        """Publish a call's next step, after all its earlier ones; repeated until Redis has taken it."""
        transition = Transition.to(
            step.state,
            call_id=call.id,
            epoch=call.epoch,
            at=step.at,
            reason=step.reason,
            duration=step.duration,
            recording_result=step.recording_result,
            findings=findings,
        )
        self._loop.call_soon_threadsafe(self._enqueue, transition)

    def keep_findings(self, call: Call, findings: Findings) -> None:
        """What is known of a live call so far; lost when Redis is away: its next step tells it again."""
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._keep_found(call, findings), self._writers))

    def count_refusal(self, refusal: Refusal) -> None:
        """Of a redirection."""
        refused = Refused("redirection", refusal.rule.value, refusal.origin.value)
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._count(refused), self._writers))

    def extend_quota(self, call: Call, granted: int) -> None:
        """Ask for more than the `granted` seconds; the inbox gets the answer, also when Redis is away."""
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._extend(call, granted), self._writers))

    def publish_sip(self, message: SipMessage) -> None:
        self._loop.call_soon_threadsafe(self._collect, message)

    def store_recording(self, call: Call) -> None:
        self._loop.call_soon_threadsafe(lambda: self._spawn(self._keep(call), self._writers))

    def beat_now(self) -> None:
        """Publish the status without waiting for the next interval."""
        self._loop.call_soon_threadsafe(self._beat.set)

    def stop(self, timeout: float) -> None:
        """Write out what is left, retire the engine and end the thread; waits `timeout` seconds at most."""
        future = asyncio.run_coroutine_threadsafe(self._shut_down(timeout), self._loop)
        try:
            future.result(timeout + 2)
        except TimeoutError:
            log.error("Redis did not take everything in time; the rest is ended by the reaper")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # --- on the link's own thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._spawn(self._keep_beating(), self._readers)
        self._spawn(self._read_commands(), self._readers)
        self._spawn(self._tend_recordings(), self._readers)
        self._loop.run_forever()
        self._loop.run_until_complete(self._cancel_tasks())
        self._loop.run_until_complete(self._redis.aclose())
        self._recorder_threads.shutdown(wait=False)
        self._loop.close()

    async def _cancel_tasks(self) -> None:
        tasks = [*self._readers, *self._writers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        def done(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                log.error("a task of the Redis link failed", exc_info=error)
                self.broken = True

        task = self._loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(done)

    async def _persist(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Repeat until Redis carries it out. Says once that it does not, and once that it does again.

        Whatever Redis objects to: giving up would leave a call without its outcome, or the engine deaf.
        """
        failing = False
        while True:
            try:
                answer = await attempt()
            except (RedisError, OSError) as error:
                if not failing:
                    log.warning("Redis does not serve us; repeating", error=repr(error))
                failing = True
                await asyncio.sleep(RETRY_DELAY)
            else:
                if failing:
                    log.info("Redis serves us again")
                return answer

    async def _keep_beating(self) -> None:
        look: asyncio.Future[bool] | None = None
        while True:
            self._beat.clear()
            # A disk that does not answer is not written to; the heartbeat does not wait for it.
            look = look or self._loop.run_in_executor(None, self._recordings.has_room)
            answered, _ = await asyncio.wait({look}, timeout=self._interval)
            status = replace(self.status, can_record=bool(answered) and look.result())
            look = None if answered else look
            await self._persist(lambda status=status: self._registry.heartbeat(status))  # type: ignore[misc]
            with suppress(TimeoutError):
                await asyncio.wait_for(self._beat.wait(), self._interval)

    async def _read_commands(self) -> None:
        engine_id, last = self.status.engine_id, "0"
        while True:
            last, commands = await self._persist(
                lambda after=last: self._registry.read_commands(engine_id, after, COMMAND_WAIT)  # type: ignore[misc]
            )
            self.inbox.extend(commands)

    def _enqueue(self, transition: Transition) -> None:
        steps = self._steps[transition.call_id]
        steps.append(transition)
        if len(steps) == 1:
            self._spawn(self._publish_steps(transition.call_id), self._writers)

    async def _publish_steps(self, call_id: str) -> None:
        """One call's transitions in order; other calls' are published meanwhile."""
        steps = self._steps[call_id]
        while steps:
            step = steps[0]
            result = await self._persist(lambda step=step: self._calls.transition(step))  # type: ignore[misc]
            steps.popleft()
            if path := step.findings.recording_path:
                self._spawn(self._settle_recording(call_id, path, result), self._writers)
            if result is not TransitionResult.APPLIED:
                log.warning(
                    "the call is not ours any more", call_id=call_id, state=step.event.state, result=result
                )
                steps.clear()
                self.inbox.append(OwnershipLost(call_id))
        del self._steps[call_id]

    def _collect(self, message: SipMessage) -> None:
        self._messages.append(message)
        if len(self._messages) == 1:
            self._spawn(self._publish_messages(), self._writers)

    async def _publish_messages(self) -> None:
        """What has gathered, in one round trip, until nothing is left. A trace does not wait for Redis."""
        while self._messages:
            messages = [*self._messages]
            try:
                await self._trace.append(messages)
            except (RedisError, OSError) as error:
                log.warning("SIP messages were not traced", count=len(messages), error=repr(error))
            del self._messages[: len(messages)]

    async def _keep_found(self, call: Call, findings: Findings) -> None:
        try:
            await self._calls.keep_findings(call.id, findings)
        except (RedisError, OSError) as error:
            log.warning("what is known of a call was not kept", call_id=call.id, error=repr(error))

    async def _count(self, refused: Refused) -> None:
        try:
            await self._refusals.add(refused)
        except (RedisError, OSError) as error:
            log.warning("a refusal was not counted", rule=refused.rule, error=repr(error))

    async def _extend(self, call: Call, granted: int) -> None:
        total: int | None = granted
        try:
            total = await self._pools.extend(call.id, call.epoch, granted)
        except (RedisError, OSError) as error:
            log.warning("no more minutes were reserved", call_id=call.id, error=repr(error))
        self.inbox.append(OwnershipLost(call.id) if total is None else QuotaGranted(call.id, total))

    async def _keep(self, call: Call) -> None:
        path: str | None = None
        try:
            retention = call.recording_retention_days
            path = await self._beside(self._recordings.keep, call.id, utc_now(), retention)
        except (RecordingError, OSError) as error:
            log.error("the recording could not be stored", call_id=call.id, error=str(error))
        except Exception:
            log.exception("the recording could not be stored", call_id=call.id)
        self.inbox.append(RecordingStored(call.id, path))

    async def _settle_recording(self, call_id: str, path: str, ending: TransitionResult) -> None:
        """Redis has the call's end: its live files are not needed any more."""
        if ending is TransitionResult.FENCED:  # the reaper was faster; the recording is there all the same
            await self._persist(lambda: self._calls.attach_recording(call_id, path))
        with suppress(OSError):  # the next engine does it
            await self._beside(self._recordings.discard_live, call_id)

    async def _tend_recordings(self) -> None:
        """Save what dead engines were recording, and delete what is too old: now and every hour."""
        while True:
            try:
                folders = self._recordings.abandoned()
                while folder := await self._beside(next, folders, None):
                    for call_id in await self._beside(folder.call_ids):
                        await self._save(folder, call_id)
                    await self._beside(folder.close)
                if count := await self._beside(self._recordings.delete_expired, utc_now()):
                    log.info("expired recordings deleted", files=count)
            except OSError as error:
                log.error("the recordings cannot be tended", error=str(error))
            await asyncio.sleep(RECORDINGS_INTERVAL)

    async def _save(self, folder: LiveFolder, call_id: str) -> None:
        """One recording of a dead engine; what cannot be stored now stays for the next look."""
        try:
            call = await self._persist(lambda: self._calls.get(call_id))
            retention = None if call is None else call.recording_retention_days
            path = await self._beside(self._recordings.salvage, folder, call_id, retention)
            if path is not None:
                known = await self._persist(lambda: self._calls.attach_recording(call_id, path))
                log.info("the recording of a dead engine was saved", call_id=call_id, call_is_known=known)
            await self._beside(folder.discard, call_id)
        except Exception:
            log.exception("the recording of a dead engine could not be saved", call_id=call_id)

    async def _beside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run blocking work on recordings on a thread of its own."""
        return await self._loop.run_in_executor(self._recorder_threads, work, *arguments)

    async def _shut_down(self, within: float) -> None:
        async with asyncio.timeout(within):
            while self._writers:
                await asyncio.wait(self._writers)
            # Calls handed to us after the PJ thread had stopped: no phone rang for them.
            engine_id = self.status.engine_id
            _, commands = await self._persist(lambda: self._registry.read_commands(engine_id, "0", 0.001))
            for command in commands:
                if isinstance(command, DialCommand):
                    await self._fail(command.call)
            await self._persist(lambda: self._registry.retire(engine_id))

    async def _fail(self, call: Call) -> None:
        """End a call that never began; one that ended already refuses the transition."""
        result = RecordingResult.NO_RECORD if call.recording_enabled else None
        failed = Transition.to(
            CallState.FAILED, call_id=call.id, epoch=call.epoch, at=utc_now(), recording_result=result
        )
        await self._persist(lambda: self._calls.transition(failed))
