"""What a client may do with calls: create one, look at it, end it."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog

from api.authorization import Client
from api.errors import (
    AlreadyExistsError,
    ApiError,
    CallEndedError,
    EnterpriseSuspendedError,
    IdempotencyKeyReusedError,
    InvalidTokenContextError,
    NoEngineError,
    NoRecorderError,
    NotFoundError,
    QuotaExceededError,
    TooManyRequestsError,
    UnavailableError,
    redis_reachable,
)
from api.identifiers import check_identifiers
from api.policy import CallPolicy, is_recorded
from api.sink_addresses import SinkAddresses
from api.sinks import check_sink
from api.velocity import MESSAGES, velocities
from api.wanted_call import Sink, WantedCall
from config import PoolSettings, Settings
from policy.rules import Origin, Refusal, Rule
from state.call import Call, CallEvent, CallState, mask_number, utc_now
from state.calls import (
    CallStore,
    Duplicate,
    Idempotency,
    KeyReused,
    Limits,
    NoRecorder,
    Placed,
    QuotaExceeded,
    ReleaseResult,
    Repeated,
    TooMany,
    TooOften,
)
from state.connection import UNREACHABLE
from state.enterprises import EnterpriseState
from state.refusal_counts import RefusalCounts, Refused
from state.vault import Vault

log = structlog.get_logger()

RELEASE_TIMEOUT = 8.0
"""Seconds a DELETE waits for both legs to be ended; below the Redis client's socket timeout."""

CALL_ENDS_AFTER = 5
"""Seconds that a client with too many live calls is told to wait: nobody knows when one of them ends."""


POOL_TOPPED_UP_AFTER = 3600
"""Seconds to wait for a pool that only its owner fills: nobody knows when."""


class CallService:
    def __init__(
        self,
        settings: Settings,
        calls: CallStore,
        policy: CallPolicy,
        sinks: SinkAddresses,
        vault: Vault,
        *,
        refusals: RefusalCounts,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._policy = policy
        self._sinks = sinks
        self._vault = vault
        self._refusals = refusals

    async def create(
        self,
        client: Client,
        wanted: WantedCall,
        correlator: str,
        idempotency: Idempotency | None = None,
    ) -> Call:
        """The call as it was made, also when the request comes again with its idempotency key.

        Raises ApiError: 403, 400, 422, 409, 429, 503, in this order.
        """
        try:
            return await self._create(client, wanted, correlator, idempotency)
        except ApiError as error:
            if error.refusal is not None:
                await self._note(error.refusal, client, wanted)
            raise

    async def _note(self, refusal: Refusal, client: Client, wanted: WantedCall) -> None:
        log.info(
            "call_refused",
            rule=refusal.rule.value,
            origin=refusal.origin.value,
            party=None if refusal.party is None else refusal.party.value,
            enterprise_id=client.enterprise.id,
            client_id=client.id,
            caller=mask_number(wanted.caller),
            callee=mask_number(wanted.callee),
        )
        with suppress(*UNREACHABLE):  # the answer does not depend on what is counted
            await self._refusals.add(Refused("call", refusal.rule.value, refusal.origin.value))

    async def _create(
        self, client: Client, wanted: WantedCall, correlator: str, idempotency: Idempotency | None
    ) -> Call:
        if client.enterprise.state is EnterpriseState.SUSPENDED:
            raise EnterpriseSuspendedError
        if client.phone_number not in (None, wanted.caller):
            raise InvalidTokenContextError
        if idempotency is not None:
            with redis_reachable():
                repeated = await self._calls.repeated(client.enterprise.id, client.id, idempotency)
            if repeated is not None:
                return await self._made_before(repeated)
        if wanted.sink is not None:
            self._check_sink(wanted.sink)
        check_identifiers(client, wanted, person_required=self._settings.auth.person_required)
        await self._policy.check(client.enterprise, wanted)
        return await self._place(client, wanted, self._record(client, wanted, correlator), idempotency)

    def _check_sink(self, sink: Sink) -> None:
        insecure = self._settings.notifier.allow_insecure_sinks
        check_sink(sink.uri, self._sinks, allow_insecure=insecure)
        if sink.token_uri is not None:
            name = "sinkCredential.tokenUri"
            check_sink(sink.token_uri, self._sinks, allow_insecure=insecure, name=name)

    def _record(self, client: Client, wanted: WantedCall, correlator: str) -> Call:
        enterprise, profile = client.enterprise, client.enterprise.profile
        return Call(
            id=wanted.call_id,
            generation=wanted.generation,
            client_id=client.id,
            enterprise_id=enterprise.id,
            caller=wanted.caller,
            callee=wanted.callee,
            presented_number=wanted.presented_number or profile.number,
            created_at=utc_now(),
            recording_enabled=is_recorded(enterprise, wanted),
            recording_channels=profile.recording_channels or self._settings.recording.channels,
            recording_retention_days=profile.retention_days,
            announcements=profile.announcements,
            policy=profile.policy,
            **self._sink_fields(wanted.sink),
            correlator=correlator,
        )

    def _sink_fields(self, sink: Sink | None) -> dict[str, Any]:
        if sink is None:
            return {}
        sealed = None if sink.token is None else self._vault.seal(sink.token)
        return {
            "sink": sink.uri,
            "sink_token": sealed,
            "sink_token_expires_at": sink.token_expires_at,
            "sink_client_id": sink.client_id,
            "sink_token_uri": sink.token_uri,
        }

    async def _place(
        self, client: Client, wanted: WantedCall, call: Call, idempotency: Idempotency | None
    ) -> Call:
        first = CallEvent(id=str(uuid4()), call_id=call.id, state=call.state, at=call.created_at)
        profile = client.enterprise.profile
        counted = velocities(self._settings.policy, client.enterprise, wanted)
        limits = Limits(profile.max_calls, profile.max_cps, tuple(one.limit for one in counted))
        with redis_reachable():
            match await self._calls.create(
                call, first, limits=limits, pool=profile.pool, idempotency=idempotency
            ):
                case Placed(engine_id):
                    log.info(
                        "call_created",
                        call_id=call.id,
                        client_id=client.id,
                        engine_id=engine_id,
                        caller=mask_number(call.caller),
                        callee=mask_number(call.callee),
                    )
                    return call
                case Repeated() | KeyReused() as repeated:
                    return await self._made_before(repeated)
                case TooMany(retry_after=None):
                    raise _too_many(Refusal(Rule.MAX_CALLS, Origin.ENTERPRISE), CALL_ENDS_AFTER)
                case TooMany(retry_after=float(seconds)):
                    raise _too_many(Refusal(Rule.MAX_CPS, Origin.ENTERPRISE), seconds)
                case TooOften(index, seconds):
                    raise _too_many(counted[index].refusal, seconds)
                case QuotaExceeded(in_use):
                    raise QuotaExceededError(more_minutes_after(profile.pool, utc_now(), in_use=in_use))
                case Duplicate():
                    raise AlreadyExistsError
                case NoRecorder():
                    raise NoRecorderError
                case _:
                    raise NoEngineError

    async def _made_before(self, repeated: Repeated | KeyReused) -> Call:
        """Raises IdempotencyKeyReusedError, NotFoundError when the call's record is gone."""
        if isinstance(repeated, KeyReused):
            raise IdempotencyKeyReusedError
        with redis_reachable():
            call = await self._calls.get(repeated.call_id)
        if call is None:
            raise NotFoundError
        return call.model_copy(update={"state": CallState.INITIATING})

    async def get(self, client: Client, call_id: str) -> Call:
        """Raises NotFoundError, also for a call of somebody else: that is none of their business.

        To a person whom the enterprise does not know, IdentifierNotFoundError.
        """
        await self._policy.check_person(client.enterprise, client.phone_number)
        with redis_reachable():
            call = await self._calls.get(call_id)
        if call is None or not client.may_see(call):
            raise NotFoundError
        return call

    async def release(self, client: Client, call_id: str) -> None:
        """End a call and return when it is `disconnected`.

        Raises NotFoundError, CallEndedError, UnavailableError if the engine does not end it in time.
        """
        call = await self.get(client, call_id)
        if call.state.is_terminal:
            raise CallEndedError
        with redis_reachable():
            match await self._calls.request_release(call_id):
                case ReleaseResult.ENDED:
                    raise CallEndedError
                case ReleaseResult.UNKNOWN:
                    raise NotFoundError
            ended = await self._calls.wait_ended(call_id, RELEASE_TIMEOUT)
        if ended is None:
            raise UnavailableError("The call is still being ended; try again.")
        if ended.state is CallState.FAILED:
            # It failed before the release reached it: a 204 would promise `disconnected`.
            raise CallEndedError


def _too_many(refusal: Refusal, retry_after: float) -> TooManyRequestsError:
    return TooManyRequestsError(MESSAGES[refusal.rule], math.ceil(retry_after)).by(refusal)


def more_minutes_after(pool: PoolSettings | None, now: datetime, *, in_use: bool) -> int:
    """Seconds until the pool may have enough for a call."""
    if in_use:
        return CALL_ENDS_AFTER
    if pool is None or pool.monthly_minutes is None:
        return POOL_TOPPED_UP_AFTER
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return math.ceil((next_month - now).total_seconds())
