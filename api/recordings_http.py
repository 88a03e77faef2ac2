"""GET /calls/{callId}/recording (click-to-dial.yaml, paths)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import anyio
import structlog
from fastapi import APIRouter, Depends, Response, Security
from fastapi.responses import StreamingResponse

from api.authorization import Client, authorize
from api.calls_http import CallId, Calls, Correlator, documented_errors
from api.calls_schemas import RecordingResource, rfc3339
from api.errors import NotFoundError
from api.services import Services, get_services
from api.tokens import Scope
from state.call import Call, RecordingResult

log = structlog.get_logger()

router = APIRouter(tags=["Recording"])

CHUNK = 3 * 64 * 1024
"""Bytes read at once; a multiple of 3, so that the base64 of the chunks joins to that of the file."""


@router.get(
    "/calls/{callId}/recording",
    summary="Get call recording",
    response_model=RecordingResource,
    responses=documented_errors(400, 401, 403, 404, 503),
)
async def get_recording(
    client: Annotated[Client, Security(authorize, scopes=[Scope.RECORDINGS_READ])],
    _correlator: Correlator,
    calls: Calls,
    services: Annotated[Services, Depends(get_services)],
    call_id: CallId,
) -> Response:
    call = await calls.get(client, call_id)
    path, size = await anyio.to_thread.run_sync(_find, services, call)
    before, after = _frame(call)
    return StreamingResponse(
        _stream(path, before, after),
        media_type="application/json",
        headers={"Content-Length": str(len(before) + (size + 2) // 3 * 4 + len(after))},
    )


def _find(services: Services, call: Call) -> tuple[Path, int]:
    """The recording's file and its size in bytes. Raises NotFoundError."""
    if call.recording_result is not RecordingResult.SUCCESS or call.recording_path is None:
        raise NotFoundError("The call has no recording.")
    try:
        path = services.recordings.open_path(call.recording_path)
    except (FileNotFoundError, ValueError) as error:
        log.error("recording_missing", call_id=call.id, error=type(error).__name__)
        raise NotFoundError("The call's recording no longer exists.") from error
    return path, path.stat().st_size


def _frame(call: Call) -> tuple[bytes, bytes]:
    """The JSON text before and after the content: a long call's audio is never whole in memory."""
    body: dict[str, str] = {"callId": call.id, "contentType": "audio/wav"}
    if call.ended_at is not None:
        body["generatedAt"] = rfc3339(call.ended_at)
    return json.dumps(body)[:-1].encode() + b', "content": "', b'"}'


async def _stream(path: Path, before: bytes, after: bytes) -> AsyncIterator[bytes]:
    yield before
    async with await anyio.open_file(path, "rb") as file:
        while chunk := await file.read(CHUNK):
            yield await anyio.to_thread.run_sync(base64.b64encode, chunk)
    yield after
