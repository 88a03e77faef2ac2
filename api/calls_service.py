"""What a client may do with calls: create one, look at it, end it."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

import structlog

from api.authorization import Client
from api.calls_schemas import (
    AccessTokenCredential,
    CreateCallRequest,
    PrivateKeyJwtCredential,
    SinkCredential,
)
from api.enterprise_directory import EnterpriseDirectory
from api.errors import (
    AlreadyExistsError,
    CallEndedError,
    CallerNotAvailableError,
    IdempotencyKeyReusedError,
    InvalidArgumentError,
    InvalidTokenContextError,
    NotFoundError,
    PermissionDeniedError,
    RecordingNotSupportedError,
    TooManyRequestsError,
    UnavailableError,
    redis_reachable,
)
from api.policy import check_call
from api.sink_addresses import SinkAddresses
from api.sinks import check_sink
from config import Settings
from state.call import Call, CallEvent, CallState, mask_number, utc_now
from state.calls import (
    CallStore,
    Duplicate,
    Idempotency,
    KeyReused,
    Limits,
    NoRecorder,
    Placed,
    ReleaseResult,
    Repeated,
    TooMany,
)
from state.enterprises import Enterprise, EnterpriseState
from state.vault import Vault

log = structlog.get_logger()

RELEASE_TIMEOUT = 8.0
"""Seconds a DELETE waits for both legs to be ended; below the Redis client's socket timeout."""

CALL_ENDS_AFTER = 5
"""Seconds that a client with too many live calls is told to wait: nobody knows when one of them ends."""


class CallService:
    def __init__(
        self,
        settings: Settings,
        calls: CallStore,
        enterprises: EnterpriseDirectory,
        sinks: SinkAddresses,
        vault: Vault,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._enterprises = enterprises
        self._sinks = sinks
        self._vault = vault

    async def create(
        self,
        client: Client,
        request: CreateCallRequest,
        correlator: str,
        idempotency: Idempotency | None = None,
    ) -> Call:
        """The call as it was made, also when the request comes again with its idempotency key.

        Raises ApiError: 403, 400, 422, 409, 503, in this order.
        """
        if client.enterprise.state is EnterpriseState.SUSPENDED:
            raise PermissionDeniedError("The enterprise is suspended.")
        if client.phone_number not in (None, request.caller.number):
            raise InvalidTokenContextError
        if idempotency is not None:
            with redis_reachable():
                repeated = await self._calls.repeated(client.enterprise.id, client.id, idempotency)
            if repeated is not None:
                return await self._made_before(repeated)
        await self._check(client.enterprise, request)
        return await self._place(client, self._record(client, request, correlator), idempotency)

    async def _check(self, enterprise: Enterprise, request: CreateCallRequest) -> None:
        credential = request.sink_credential
        if request.sink is not None:
            insecure = self._settings.notifier.allow_insecure_sinks
            check_sink(request.sink, self._sinks, allow_insecure=insecure)
            if isinstance(credential, PrivateKeyJwtCredential):
                name = "sinkCredential.tokenUri"
                check_sink(credential.token_uri, self._sinks, allow_insecure=insecure, name=name)
        elif credential is not None:
            raise InvalidArgumentError("sinkCredential: has no use without sink")
        numbers = request.caller.number, request.callee.number
        check_call(self._settings.policy, *numbers, recording=_is_recorded(enterprise, request))
        if enterprise.profile.callers == "members":
            with redis_reachable():
                store = await self._enterprises.store()
                if not await store.is_member(enterprise.id, request.caller.number):
                    raise CallerNotAvailableError("The caller is no member of the enterprise.")

    def _record(self, client: Client, request: CreateCallRequest, correlator: str) -> Call:
        enterprise, profile = client.enterprise, client.enterprise.profile
        return Call(
            id=str(uuid4()),
            client_id=client.id,
            enterprise_id=enterprise.id,
            caller=request.caller.number,
            callee=request.callee.number,
            presented_number=profile.number,
            created_at=utc_now(),
            recording_enabled=_is_recorded(enterprise, request),
            recording_channels=profile.recording_channels or self._settings.recording.channels,
            announcements=profile.announcements,
            sink=request.sink,
            **self._sink_fields(request.sink_credential),
            correlator=correlator,
        )

    def _sink_fields(self, credential: SinkCredential | None) -> dict[str, Any]:
        match credential:
            case AccessTokenCredential(access_token=token, expires_at=expires_at):
                return {"sink_token": self._vault.seal(token), "sink_token_expires_at": expires_at}
            case PrivateKeyJwtCredential(client_id=client_id, token_uri=token_uri):
                return {"sink_client_id": client_id, "sink_token_uri": token_uri}
            case _:
                return {}

    async def _place(self, client: Client, call: Call, idempotency: Idempotency | None) -> Call:
        first = CallEvent(id=str(uuid4()), call_id=call.id, state=call.state, at=call.created_at)
        profile = client.enterprise.profile
        limits = Limits(profile.max_calls, profile.max_cps)
        with redis_reachable():
            match await self._calls.create(call, first, limits=limits, idempotency=idempotency):
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
                    raise TooManyRequestsError("The enterprise has too many live calls.", CALL_ENDS_AFTER)
                case TooMany(retry_after=float(seconds)):
                    raise TooManyRequestsError("The enterprise starts calls too fast.", math.ceil(seconds))
                case Duplicate():
                    raise AlreadyExistsError
                case NoRecorder():
                    raise RecordingNotSupportedError("No engine has room for another recording.")
                case _:
                    raise UnavailableError("No engine has room for another call.")

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
        """Raises NotFoundError, also for a call of somebody else: that is none of their business."""
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


def _is_recorded(enterprise: Enterprise, request: CreateCallRequest) -> bool:
    """Raises RecordingNotSupportedError if it must be and may not."""
    match enterprise.profile.recording:
        case "always":
            return True
        case "never" if request.recording_enabled:
            raise RecordingNotSupportedError("The enterprise's calls are not recorded.")
        case _:
            return request.recording_enabled
