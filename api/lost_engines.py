"""Ending the calls of engines that died: the other half of "a call reaches exactly one terminal state"."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import structlog

from state.call import Call, CallState, DisconnectionReason, RecordingResult, Transition, utc_now
from state.calls import CallStore, TransitionResult
from state.connection import UNREACHABLE
from state.engines import EngineRegistry

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between looks at the registry."""


class LostEngineReaper:
    """Any number of them may run: each transition is a compare-and-set, so one of them wins."""

    def __init__(self, engines: EngineRegistry, calls: CallStore, *, lost_after: float) -> None:
        """`lost_after`: seconds of silence, as the registry has it."""
        self._engines = engines
        self._calls = calls
        self._lost_after = lost_after
        self._trusted_from = 0.0

    async def run(self, stopped: asyncio.Event) -> None:
        """Until `stopped`.

        After an outage of Redis every heartbeat is old: engines get the usual time to show themselves.
        """
        self._distrust()
        while not stopped.is_set():
            asked_at = time.monotonic()
            try:
                lost = await self._engines.lost()
                if time.monotonic() - asked_at > self._lost_after / 2:
                    self._distrust()  # Redis itself stood still
                elif time.monotonic() >= self._trusted_from:
                    for engine_id in lost:
                        await self._reap(engine_id)
            except UNREACHABLE:
                self._distrust()
            except Exception:
                log.exception("reaping_failed")  # one unreadable record must not stop the notifier
            try:
                await asyncio.wait_for(stopped.wait(), INTERVAL)
            except TimeoutError:
                continue

    def _distrust(self) -> None:
        self._trusted_from = time.monotonic() + self._lost_after

    async def _reap(self, engine_id: str) -> None:
        call_ids = await self._engines.calls_of(engine_id)
        for call_id in call_ids:
            call = await self._calls.get(call_id)
            if call is None or call.state.is_terminal:
                continue
            transition = ending_of(call, utc_now())
            result = await self._calls.transition(transition, take_over=True)
            if result is TransitionResult.APPLIED:
                log.warning(
                    "call_of_lost_engine_ended",
                    call_id=call_id,
                    engine_id=engine_id,
                    state=transition.event.state.value,
                )
        if await self._engines.retire_lost(engine_id):
            log.warning("lost_engine_retired", engine_id=engine_id, calls=len(call_ids))


def ending_of(call: Call, at: datetime) -> Transition:
    """How a call ends whose engine is lost: `disconnected`/`other` once connected, before that `failed`."""
    if call.state is CallState.CONNECTED and call.connected_at is not None:
        talked = max(0, int((at - call.connected_at).total_seconds()))
        return Transition.to(
            CallState.DISCONNECTED,
            call_id=call.id,
            epoch=call.epoch,
            at=at,
            reason=DisconnectionReason.OTHER,
            # Its engine would have ended it when what was granted was used up.
            duration=talked if call.granted_seconds is None else min(talked, call.granted_seconds),
            recording_result=_recording_result(call, RecordingResult.FAIL),
        )
    return Transition.to(
        CallState.FAILED,
        call_id=call.id,
        epoch=call.epoch,
        at=at,
        recording_result=_recording_result(call, RecordingResult.NO_RECORD),
    )


def _recording_result(call: Call, otherwise: RecordingResult) -> RecordingResult | None:
    """`success` if another engine has already saved what the lost one had recorded."""
    if not call.recording_enabled:
        return None
    return otherwise if call.recording_path is None else RecordingResult.SUCCESS
