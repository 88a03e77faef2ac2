"""GET /calls/{callId}/recording (click-to-dial.yaml, paths), and the audio file itself as an extension."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
import structlog
from fastapi import APIRouter, Depends, Request, Response, Security

from api.authorization import Client, authorize
from api.calls_http import CallId, Calls, Correlator
from api.errors import NoRecordingError, NotAcceptableError, UnavailableError, redis_reachable
from api.media_types import preferred
from api.recording_encoding import BASE64_LIMIT, SIZE_LIMIT
from api.recording_responses import AudioFileResponse, RecordingJsonResponse, StoredFile
from api.services import Services, get_services
from api.tokens import Scope
from media.recording_formats import EncodedType
from media.sealed_file import SealedFileError
from state.audit import AuditedAction
from state.call import Call, RecordingResult

log = structlog.get_logger()

router = APIRouter()

JSON = "application/json"
ENCODINGS: dict[str, EncodedType | None] = {
    "audio/wav": None,
    "audio/x-wav": None,
    "audio/ogg": "audio/ogg",
    "audio/mpeg": "audio/mpeg",
    "audio/mp3": "audio/mpeg",
}
"""What the file itself can be had as, and what has to be made for it."""
KEY_IS_BACK_AFTER = 60
"""Seconds that a client is told to wait: somebody has to put a key back into the settings."""


@router.head("/calls/{callId}/recording")
@router.get("/calls/{callId}/recording")
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
    wav = await anyio.to_thread.run_sync(find_recording, services, call)
    wanted = preferred(", ".join(request.headers.getlist("accept")), (JSON, *ENCODINGS))
    if wanted is None:
        raise NotAcceptableError(f"The recording can be had as {', '.join((JSON, *ENCODINGS))}.")
    detail = f"{request.method} {wanted} {request.headers.get('range', '')}".strip()
    await note_download(services, client, call, correlator, detail)
    if wanted == JSON:
        return await _json(services, call, wav)
    encoding = ENCODINGS[wanted]
    path = wav if encoding is None else await services.encoder.encoded(wav, encoding)
    vault = services.recordings.vault
    found = await anyio.to_thread.run_sync(vault.stat, path)
    return AudioFileResponse(vault, path, found, media_type=wanted)


async def note_download(services: Services, client: Client, call: Call, correlator: str, detail: str) -> None:
    """Raises UnavailableError: what cannot be noted is not handed out."""
    with redis_reachable():
        await services.audit.add(
            AuditedAction.RECORDING_READ,
            actor=client.id,
            enterprise_id=client.enterprise.id,
            subject=call.id,
            correlator=correlator,
            detail=detail,
        )


async def _json(services: Services, call: Call, wav: Path) -> Response:
    """Base64 of the WAV, or of what is encoded from it if that would be longer than the API allows."""
    vault = services.recordings.vault
    content_type, file = "audio/wav", await StoredFile.at(wav, vault)
    if file.size > SIZE_LIMIT:
        content_type = services.settings.recording.large_format
        file = await StoredFile.at(await services.encoder.encoded(wav, content_type), vault)
    if file.size > SIZE_LIMIT:
        raise NotAcceptableError(
            f"The recording is too long for {BASE64_LIMIT} characters of base64; ask for audio/wav (Accept)."
        )
    return RecordingJsonResponse(call, file, content_type)


def find_recording(services: Services, call: Call) -> Path:
    """The recording's file, which can be read. Raises NoRecordingError, UnavailableError."""
    if call.recording_result is not RecordingResult.SUCCESS or call.recording_path is None:
        raise NoRecordingError
    try:
        path = services.recordings.open_path(call.recording_path)
        services.recordings.vault.open(path).close()
    except (FileNotFoundError, ValueError) as error:
        log.warning("recording_missing", call_id=call.id, error=type(error).__name__)
        raise NoRecordingError("The call's recording no longer exists.") from error
    except SealedFileError as error:
        log.error("recording_cannot_be_decrypted", call_id=call.id, error=str(error))
        raise UnavailableError("The recording cannot be decrypted now.", KEY_IS_BACK_AFTER) from error
    return path
