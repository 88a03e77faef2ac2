"""POST /calls, GET and DELETE /calls/{callId} (click-to-dial.yaml, paths)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response, Security
from fastapi.responses import JSONResponse

from api.authorization import Client, authorize
from api.calls_schemas import CALL_ID_PATTERN, CallResource, CreateCallRequest
from api.calls_service import CallService
from api.correlator import correlator
from api.errors import ApiError
from api.idempotency import idempotency_of
from api.policy import CallPolicy
from api.services import Services, get_services
from api.strict_json import read_json
from api.tokens import Scope

router = APIRouter()

CallId = Annotated[str, Path(alias="callId", pattern=CALL_ID_PATTERN)]
Correlator = Annotated[str, Depends(correlator)]


def call_service(services: Annotated[Services, Depends(get_services)]) -> CallService:
    policy = CallPolicy(services.settings.policy, services.enterprises)
    return CallService(
        services.settings,
        services.calls,
        policy,
        services.sinks,
        services.vault,
        refusals=services.refusals,
    )


Calls = Annotated[CallService, Depends(call_service)]


@router.post("/calls")
async def create_call(
    request: Request,
    client: Annotated[Client, Security(authorize, scopes=[Scope.CALLS_CREATE])],
    correlator: Correlator,
    calls: Calls,
    services: Annotated[Services, Depends(get_services)],
) -> Response:
    # The body is read here, not by the framework: 401 and 403 come before 400.
    try:
        content = await read_json(request, CreateCallRequest)
        idempotency = idempotency_of(request, content)
        call = await calls.create(client, content.wanted(), correlator, idempotency)
    except ApiError as error:
        services.metrics.calls_refused.labels(error.code).inc()
        raise
    services.metrics.calls_created.inc()
    return JSONResponse(
        CallResource.of(call).model_dump(mode="json", by_alias=True),
        status_code=201,
        headers={"Location": f"{request.url.path}/{call.id}"},
    )


@router.get("/calls/{callId}")
async def get_call(
    client: Annotated[Client, Security(authorize, scopes=[Scope.CALLS_READ])],
    _correlator: Correlator,
    calls: Calls,
    call_id: CallId,
) -> CallResource:
    return CallResource.of(await calls.get(client, call_id))


@router.delete("/calls/{callId}")
async def terminate_call(
    client: Annotated[Client, Security(authorize, scopes=[Scope.CALLS_DELETE])],
    _correlator: Correlator,
    calls: Calls,
    call_id: CallId,
) -> Response:
    await calls.release(client, call_id)
    return Response(status_code=204)
