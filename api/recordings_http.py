"""GET /calls/{callId}/recording (click-to-dial.yaml, paths), and the audio file itself as an extension."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import anyio
import structlog
from fastapi import APIRouter, Depends, Request, Response, Security

from api.authorization import Client, authorize
from api.calls_http import CallId, Calls, Correlator, documented_errors
from api.calls_schemas import RecordingResource
from api.errors import NotAcceptableError, NotFoundError, UnavailableError, redis_reachable
from api.media_types import preferred
from api.recording_encoding import BASE64_LIMIT, SIZE_LIMIT
from api.recording_responses import AudioFileResponse, RecordingJsonResponse
from api.services import Services, get_services
from api.tokens import Scope
from media.recording_formats import EncodedType
from media.sealed_file import SealedFileError
from state.audit import AuditedAction
from state.call import Call, RecordingResult

log = structlog.get_logger()

router = APIRouter(tags=["Recording"])

JSON = "application/json"
ENCODINGS: dict[str, EncodedType | None] = {
    "audio/wav": None,
    "audio/x-wav": None,
    "audio/ogg": "audio/ogg",
    "audio/mpeg": "audio/mpeg",
    "audio/mp3": "audio/mpeg",
}
"""What the file itself can be had as, and what has to be made for it."""
AUDIO_CONTENT: dict[str, Any] = {
    media_type: {"schema": {"type": "string", "format": "binary"}, "x-dialbridge-extension": True}
    for media_type in ENCODINGS
}
KEY_IS_BACK_AFTER = 60
"""Seconds that a client is told to wait: somebody has to put a key back into the settings."""
RANGE_RESPONSES: dict[int | str, dict[str, Any]] = {
    206: {"description": "Part of the audio file", "content": AUDIO_CONTENT, "x-dialbridge-extension": True}
}


@router.head("/calls/{callId}/recording", include_in_schema=False)
@router.get(
    "/calls/{callId}/recording",
    summary="Get call recording",
    response_model=RecordingResource,
    responses={
        200: {"content": AUDIO_CONTENT},
        **RANGE_RESPONSES,
        **documented_errors(400, 401, 403, 404, 406, 416, 503),
    },
)
async def get_recording(
    *,
    request: Request,
    client: Annotated[Client, Security(authorize, scopes=[Scope.RECORDINGS_READ])],
    correlator: Correlator,
    calls: Calls,
    services: Annotated[Services, Depends(get_services)],
    call_id: CallId,
) -> Response:
    """The API's JSON, or by the request's `Accept` header the audio file itself, with `Range` support."""
    call = await calls.get(client, call_id)
    wav = await anyio.to_thread.run_sync(_find, services, call)
    wanted = preferred(", ".join(request.headers.getlist("accept")), (JSON, *ENCODINGS))
    if wanted is None:
        raise NotAcceptableError(f"The recording can be had as {', '.join((JSON, *ENCODINGS))}.")
    with redis_reachable():
        await services.audit.add(
            AuditedAction.RECORDING_READ,
            actor=client.id,
            enterprise_id=client.enterprise.id,
            subject=call.id,
            correlator=correlator,
            detail=f"{request.method} {wanted} {request.headers.get('range', '')}".strip(),
        )
    if wanted == JSON:
        return await _json(services, call, wav)
    encoding = ENCODINGS[wanted]
    path = wav if encoding is None else await services.encoder.encoded(wav, encoding)
    vault = services.recordings.vault
    found = await anyio.to_thread.run_sync(vault.stat, path)
    return AudioFileResponse(vault, path, found, media_type=wanted)


async def _json(services: Services, call: Call, wav: Path) -> Response:
    """Base64 of the WAV, or of what is encoded from it if that would be longer than the API allows."""
    vault = services.recordings.vault
    path, content_type = wav, "audio/wav"
    size = (await anyio.to_thread.run_sync(vault.stat, path)).st_size
    if size > SIZE_LIMIT:
        content_type = services.settings.recording.large_format
        path = await services.encoder.encoded(wav, content_type)
        size = (await anyio.to_thread.run_sync(vault.stat, path)).st_size
    if size > SIZE_LIMIT:
        raise NotAcceptableError(
            f"The recording is too long for {BASE64_LIMIT} characters of base64; ask for audio/wav (Accept)."
        )
    return RecordingJsonResponse(call, vault, path, size, content_type)


def _find(services: Services, call: Call) -> Path:
    """The recording's file, which can be read. Raises NotFoundError, UnavailableError."""
    if call.recording_result is not RecordingResult.SUCCESS or call.recording_path is None:
        raise NotFoundError("The call has no recording.")
    try:
        path = services.recordings.open_path(call.recording_path)
        services.recordings.vault.open(path).close()
    except (FileNotFoundError, ValueError) as error:
        log.warning("recording_missing", call_id=call.id, error=type(error).__name__)
        raise NotFoundError("The call's recording no longer exists.") from error
    except SealedFileError as error:
        log.error("recording_cannot_be_decrypted", call_id=call.id, error=str(error))
        raise UnavailableError("The recording cannot be decrypted now.", KEY_IS_BACK_AFTER) from error
    return path
