"""The older generation's operations (its document, section 4.3)."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Path, Request, Response, Security

from api.authorization import Client
from api.calls_http import Calls
from api.calls_schemas import CALL_ID_PATTERN
from api.errors import ApiError
from api.recording_responses import Base64JsonResponse, StoredFile
from api.recordings_http import find_recording, note_download
from api.services import Services, get_services
from api.strict_json import StrictModel, read_json
from api.tokens import Scope
from api.v1_authorization import authorize_v1
from api.v1_calls import wanted_call
from api.v1_notifications import recording_id
from api.v1_results import SUCCESS, Refusal, RefusedError, refusal_of, succeeded
from api.v1_schemas import (
    Answer,
    BeginAnswer,
    BeginRequest,
    DownloadAnswer,
    DownloadRequest,
    ReleaseRequest,
)

router = APIRouter(tags=["Click to Dial"])

CallIdentifier = Annotated[str, Path(pattern=CALL_ID_PATTERN, description="Call identification")]
AnyServices = Annotated[Services, Depends(get_services)]

REFUSALS: dict[int | str, dict[str, Any]] = {
    **{one.status: {"model": Answer, "description": "See the error table"} for one in Refusal},
    # With it the framework documents no 422 of its own.
    "default": {"model": Answer, "description": "Another path or method"},
}

_BEGUN = "$response.body#/result/callidentifier"
LINKS: dict[int | str, dict[str, Any]] = {
    200: {
        "links": {
            "release": {
                "operationId": "clicktodialrelease",
                "parameters": {"callidentifier": _BEGUN},
            },
            "recording": {
                "operationId": "recordingdownload",
                "parameters": {"callidentifier": _BEGUN},
                "requestBody": {"recordingId": _BEGUN},
            },
        }
    }
}


def documented(body: type[StrictModel]) -> dict[str, Any]:
    """The body that `read_json` reads."""
    content = {"application/json": {"schema": body.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/clicktodialbegin",
    operation_id="clicktodialbegin",
    summary="Click to Dial Initiation",
    response_model=BeginAnswer,
    responses={**REFUSALS, **LINKS},
    openapi_extra=documented(BeginRequest),
)
async def begin(
    request: Request,
    client: Annotated[Client, Security(authorize_v1, scopes=[Scope.CALLS_CREATE])],
    calls: Calls,
    services: AnyServices,
) -> Response:
    try:
        content = await read_json(request, BeginRequest)
        wanted = wanted_call(services, client.enterprise, content)
        call = await calls.create(client, wanted, request.state.correlator)
    except (ApiError, RefusedError) as error:
        services.metrics.calls_refused.labels(refusal_of(error).code).inc()
        raise
    services.metrics.calls_created.inc()
    return succeeded(result={"callidentifier": call.id})


@router.post(
    "/clicktodialrelease/{callidentifier}",
    operation_id="clicktodialrelease",
    summary="Click to Dial release",
    response_model=Answer,
    responses=REFUSALS,
    openapi_extra=documented(ReleaseRequest),
)
async def release(
    request: Request,
    client: Annotated[Client, Security(authorize_v1, scopes=[Scope.CALLS_DELETE])],
    calls: Calls,
    callidentifier: CallIdentifier,
) -> Response:
    content = await read_json(request, ReleaseRequest)
    if content.operation == "EndCall":
        await calls.release(client, callidentifier)
        return succeeded()
    call = await calls.get(client, callidentifier)
    if content.operation != "Continue" or call.state.is_terminal:
        raise RefusedError(Refusal.OPERATION)
    return succeeded()


@router.post(
    "/recordingdownload/{callidentifier}",
    operation_id="recordingdownload",
    summary="Download recording",
    response_model=DownloadAnswer,
    responses=REFUSALS,
    openapi_extra=documented(DownloadRequest),
)
async def download(
    request: Request,
    client: Annotated[Client, Security(authorize_v1, scopes=[Scope.RECORDINGS_READ])],
    calls: Calls,
    services: AnyServices,
    callidentifier: CallIdentifier,
) -> Response:
    content = await read_json(request, DownloadRequest)
    call = await calls.get(client, callidentifier)
    if content.recording_id != recording_id(call):
        raise RefusedError(Refusal.INVALID_INPUT)
    wav = await anyio.to_thread.run_sync(find_recording, services, call)
    file = await StoredFile.at(wav, services.recordings.vault)
    await note_download(services, client, call, request.state.correlator, "recordingdownload")
    return Base64JsonResponse({"code": SUCCESS, "description": "Success"}, "filedata", file)
