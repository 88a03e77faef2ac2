"""Keep an encoded slash inside its path segment."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)


class EncodedSlashMiddleware:
    """RFC 3986, section 2.2: `%2F` is data, `/` is a delimiter. The server decodes both before routing, which
    would make `/calls/a%2Fb` an unknown path (404) instead of a malformed callId (400)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path", b"")
        if _ENCODED_SLASH.search(raw):
            scope = {**scope, "path": unquote(_ENCODED_SLASH.sub(b"%252F", raw))}
        await self._app(scope, receive, send)
