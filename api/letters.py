"""What is sent to a sink, and with which credential: the same for every attempt at one event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from api.camara_events import status_changed
from api.correlator import HEADER
from api.pool_events import pool_is_low
from api.sink_tokens import PrivateKeyJwt
from api.v1_notifications import HEADERS as V1_HEADERS
from api.v1_notifications import status_notification
from state.call import Call, CallEvent, Generation
from state.outbox import Delivery
from state.pool import LowWater


@dataclass(frozen=True, slots=True)
class Letter:
    event_id: str
    enterprise_id: str
    sink: str
    headers: dict[str, str]
    body: bytes
    generation: Generation = "camara"
    """In whose words it is, and whose answer is expected."""
    token: str | None = None
    """As `state.vault` seals it."""
    token_expires_at: datetime | None = None
    credential: PrivateKeyJwt | None = None
    """With which a token is to be had."""


def letter_of(delivery: Delivery, *, public_url: str) -> Letter | None:
    """None: the record that names the sink has gone. Raises ValueError if it cannot be read."""
    match delivery.event:
        case CallEvent() as event:
            call = Call.model_validate(delivery.record) if delivery.record else None
            return None if call is None or call.sink is None else _of_call(call, call.sink, event, public_url)
        case LowWater() as event:
            sink = delivery.record.get("sink")
            return None if sink is None else _of_pool(sink, event, public_url)


def _of_call(call: Call, sink: str, event: CallEvent, public_url: str) -> Letter:
    """In the words of the generation that placed the call."""
    if call.generation == "v1":
        headers, body = dict(V1_HEADERS), status_notification(call, event)
    else:
        message = status_changed(call, event, public_url=public_url)
        headers, body = dict(message.headers), message.body
    if call.correlator is not None:
        headers[HEADER] = call.correlator
    credential = None
    if call.sink_client_id is not None and call.sink_token_uri is not None:
        credential = PrivateKeyJwt(call.sink_client_id, call.sink_token_uri)
    return Letter(
        event.id,
        call.enterprise_id,
        sink,
        headers,
        body,
        call.generation,
        call.sink_token,
        call.sink_token_expires_at,
        credential,
    )


def _of_pool(sink: str, event: LowWater, public_url: str) -> Letter:
    message = pool_is_low(event, public_url=public_url)
    return Letter(event.id, event.enterprise_id, sink, dict(message.headers), message.body)
