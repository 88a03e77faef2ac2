"""A recording on the wire: as the API's JSON or as the audio file itself, never whole in memory."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from fastapi.responses import FileResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.calls_schemas import rfc3339
from api.error_responses import error_response
from api.errors import RangeNotSatisfiableError
from media.file_vault import FileVault
from state.call import Call

CHUNK = 3 * 64 * 1024
"""Bytes read at once; a multiple of 3, so that the base64 of the chunks joins to that of the file."""
VARY = {"Vary": "Accept"}


@dataclass(frozen=True, slots=True)
class StoredFile:
    vault: FileVault
    path: Path
    size: int
    """Of its content, in bytes."""

    @classmethod
    async def at(cls, path: Path, vault: FileVault) -> StoredFile:
        return cls(vault, path, (await anyio.to_thread.run_sync(vault.stat, path)).st_size)


class Base64JsonResponse(StreamingResponse):
    """A JSON object whose last property is a file in base64."""

    def __init__(
        self,
        properties: dict[str, str],
        last: str,
        file: StoredFile,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`last`: the property's name."""
        before, after = f'{json.dumps(properties)[:-1]}, "{last}": "'.encode(), b'"}'
        length = len(before) + (file.size + 2) // 3 * 4 + len(after)
        super().__init__(
            _base64(file, before, after),
            media_type="application/json",
            headers={**(headers or {}), "Content-Length": str(length)},
        )


class RecordingJsonResponse(Base64JsonResponse):
    """`RecordingResource` (click-to-dial.yaml)."""

    def __init__(self, call: Call, file: StoredFile, content_type: str) -> None:
        properties = {"callId": call.id, "contentType": content_type}
        if call.ended_at is not None:
            properties["generatedAt"] = rfc3339(call.ended_at)
        super().__init__(properties, "content", file, VARY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await send({"type": "http.response.body"})
        else:
            await super().__call__(scope, receive, send)


async def _base64(file: StoredFile, before: bytes, after: bytes) -> AsyncIterator[bytes]:
    yield before
    async with _opened(file.vault, file.path) as opened:
        while chunk := await opened.read(CHUNK):
            yield await anyio.to_thread.run_sync(base64.b64encode, chunk)
    yield after


@asynccontextmanager
async def _opened(vault: FileVault, path: Path) -> AsyncIterator[anyio.AsyncFile[bytes]]:
    file = anyio.wrap_file(await anyio.to_thread.run_sync(vault.open, path))
    try:
        yield file
    finally:
        with anyio.CancelScope(shield=True):
            await file.aclose()


class AudioFileResponse(FileResponse):
    """Ranges as RFC 9110, section 14, has them, errors with the CAMARA body."""

    def __init__(self, vault: FileVault, path: Path, found: os.stat_result, media_type: str) -> None:
        """`found`: of the file, with its content's size."""
        super().__init__(path, media_type=media_type, headers=VARY, stat_result=found)
        self._vault = vault

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[anyio.AsyncFile[bytes]]:
        async with _opened(self._vault, Path(self.path)) as file:
            yield file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: Message | None = None

        async def hold_back(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refusal = message
            if refusal is None:
                await send(message)

        await super().__call__(scope, receive, hold_back)
        if refusal is None:
            return
        if refusal["status"] == 416:
            headers = {name.decode(): value.decode() for name, value in refusal["headers"]}
            error = RangeNotSatisfiableError(headers={"Content-Range": headers["content-range"]})
            await error_response(error)(scope, receive, send)
        else:
            # RFC 9110, 14.2: an unknown unit must be ignored; so is what cannot be understood.
            kept = [(name, value) for name, value in scope["headers"] if name != b"range"]
            await super().__call__({**scope, "headers": kept}, receive, send)
