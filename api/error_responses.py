"""Errors on the wire: the one error body, for whatever went wrong on whatever route."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import (
    ApiError,
    InternalError,
    InvalidArgumentError,
    MethodNotAllowedError,
    NotFoundError,
)

log = structlog.get_logger()

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def error_response(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body(), error.status, error.headers)


def install_error_responses(app: FastAPI) -> None:
    """Give every error of the framework and of our own the CAMARA body."""

    @app.exception_handler(ApiError)
    async def refused(_request: Request, error: ApiError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        problem = error.errors()[0]
        return error_response(InvalidArgumentError(f"{problem['loc'][-1]}: {problem['msg']}"))

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> JSONResponse:
        match error.status_code:
            case 404:
                return error_response(NotFoundError())
            case 405:
                return error_response(MethodNotAllowedError(headers={"Allow": _allowed(app, request.scope)}))
            case _:
                return error_response(InvalidArgumentError())


def _allowed(app: FastAPI, scope: Scope) -> str:
    """RFC 9110, section 15.5.6: a 405 names all methods; the router only knows those of one route."""

    def serves(method: str) -> bool:
        probe = {"type": "http", "path": scope["path"], "root_path": "", "method": method, "headers": []}
        return any(route.matches(probe)[0] is Match.FULL for route in app.router.routes)

    return ", ".join(method for method in METHODS if serves(method))


class LastResortMiddleware:
    """Turns an unexpected exception into 500: the log gets the traceback, the client no detail."""

    def __init__(
        self, app: ASGIApp, respond: Callable[[], Response] = lambda: error_response(InternalError())
    ) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            log.exception("request_failed", method=scope["method"])
            await self._respond()(scope, receive, send)
