"""POST /calls, GET and DELETE /calls/{callId} (click-to-dial.yaml, paths)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response, Security
from fastapi.responses import JSONResponse

from api.authorization import Client, authorize
from api.calls_schemas import CALL_ID_PATTERN, CallResource, CreateCallRequest, ErrorInfo
from api.calls_service import CallService
from api.correlator import correlator
from api.errors import ApiError
from api.idempotency import HEADER as IDEMPOTENCY_KEY
from api.idempotency import idempotency_of
from api.policy import CallPolicy
from api.services import Services, get_services
from api.strict_json import read_json
from api.tokens import Scope

router = APIRouter(tags=["Calls"])

CallId = Annotated[str, Path(alias="callId", pattern=CALL_ID_PATTERN, description="Unique call identifier")]
Correlator = Annotated[str, Depends(correlator)]

IDEMPOTENCY_PARAMETER = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "Repeated within 24 hours with the same key and content, a request makes no second call.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 257},
}

ERRORS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    406: "Not Acceptable",
    409: "Conflict",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    503: "Service Unavailable",
}


def documented_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorInfo, "description": ERRORS[status]} for status in statuses}


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


@router.post(
    "/calls",
    summary="Create a new Click to Dial call session",
    status_code=201,
    response_model=CallResource,
    responses=documented_errors(400, 401, 403, 409, 415, 422, 429, 503),
    openapi_extra={
        "parameters": [IDEMPOTENCY_PARAMETER],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{CreateCallRequest.__name__}"}}
            },
        },
    },
)
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


@router.get(
    "/calls/{callId}",
    summary="Get call details",
    responses=documented_errors(400, 401, 403, 404, 503),
)
async def get_call(
    client: Annotated[Client, Security(authorize, scopes=[Scope.CALLS_READ])],
    _correlator: Correlator,
    calls: Calls,
    call_id: CallId,
) -> CallResource:
    return CallResource.of(await calls.get(client, call_id))


@router.delete(
    "/calls/{callId}",
    summary="Terminate an active call",
    status_code=204,
    responses=documented_errors(400, 401, 403, 404, 409, 503),
)
async def terminate_call(
    client: Annotated[Client, Security(authorize, scopes=[Scope.CALLS_DELETE])],
    _correlator: Correlator,
    calls: Calls,
    call_id: CallId,
) -> Response:
    await calls.release(client, call_id)
    return Response(status_code=204)
