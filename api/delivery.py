"""One attempt at delivering one event to one sink."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import httpx2

from api.camara_events import status_changed
from api.correlator import HEADER
from config.settings import NotifierSettings
from state.call import Call, CallEvent
from state.delivery_counts import DeliveryOutcome

RESPONSE_LIMIT = 64 * 1024
"""Bytes of a sink's answer that are read, so that its connection can be used again."""


@dataclass(frozen=True, slots=True)
class Attempt:
    outcome: DeliveryOutcome
    explanation: str
    """For the log: the status or the kind of failure."""


async def attempt(
    http: httpx2.AsyncClient, call: Call, event: CallEvent, *, public_url: str, timeout_after: float
) -> Attempt:
    """POST the event; 2xx delivers it, 410 refuses it for good, anything else means another try.

    `timeout_after`: seconds for the whole exchange.
    """
    message = status_changed(call, event, public_url=public_url)
    headers = dict(message.headers)
    if call.sink_token is not None:
        headers["Authorization"] = f"Bearer {call.sink_token}"
    if call.correlator is not None:
        headers[HEADER] = call.correlator
    status: int | None = None
    try:
        async with (
            asyncio.timeout(timeout_after),
            http.stream("POST", str(call.sink), content=message.body, headers=headers) as response,
        ):
            status = response.status_code
            await _drain(response)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        if status is None:
            return Attempt(DeliveryOutcome.RETRIED, type(error).__name__)
        # The sink has answered; that its body was cut off changes nothing.
    return Attempt(_outcome_of(status), f"HTTP {status}")


def backoff(settings: NotifierSettings, failed_attempts: int) -> float:
    """Seconds until the next attempt: doubling, with jitter so that a sink that returns is not stormed."""
    full = min(settings.backoff_max, settings.backoff_initial * 2.0 ** min(failed_attempts, 32))
    return full * random.uniform(0.75, 1.0)  # noqa: S311  # not a secret


def _outcome_of(status: int) -> DeliveryOutcome:
    if 200 <= status < 300:
        return DeliveryOutcome.DELIVERED
    # CAMARA_common.yaml, Generic410: the sink says that this callback is no longer available.
    return DeliveryOutcome.REFUSED if status == 410 else DeliveryOutcome.RETRIED


async def _drain(response: httpx2.Response) -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > RESPONSE_LIMIT:
            return
