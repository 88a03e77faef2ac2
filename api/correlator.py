"""`x-correlator`: one id that a client's request, our logs, the response and the events share."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import uuid4

import structlog
from fastapi import Header, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import InvalidArgumentError

HEADER = "x-correlator"
PATTERN = r"^[a-zA-Z0-9-_:;.\/<>{}]{0,256}$"
"""CAMARA_common.yaml, XCorrelator."""
_ALLOWED = re.compile(r"[a-zA-Z0-9\-_:;./<>{}]{1,256}")


class CorrelatorMiddleware:
    """Puts the client's correlator, or a new one, on every response.

    One off the pattern is replaced here and refused later by `correlator`: 401 and 403 come before 400.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER)
        valid = not given or _ALLOWED.fullmatch(given) is not None
        value = given if given and valid else str(uuid4())
        state = scope.setdefault("state", {})
        state["correlator"], state["correlator_valid"] = value, valid

        async def send_with_correlator(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = value
            await send(message)

        with structlog.contextvars.bound_contextvars(correlator=value):
            await self._app(scope, receive, send_with_correlator)


async def correlator(
    request: Request,
    documented: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="Correlation id for the different services",
            json_schema_extra={"pattern": PATTERN, "maxLength": 256},
        ),
    ] = None,
) -> str:
    """The request's correlator. Raises InvalidArgumentError for one off CAMARA's pattern."""
    del documented  # only declared for the OpenAPI document
    if not request.state.correlator_valid:
        raise InvalidArgumentError(f"{HEADER}: must match {PATTERN}")
    value: str = request.state.correlator
    return value
