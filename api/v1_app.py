"""The older generation as an application of its own: its errors and its OpenAPI document are not CAMARA's."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api import v1_http
from api.error_responses import LastResortMiddleware
from api.errors import ApiError
from api.services import Services
from api.v1_results import Refusal, RefusedError, refusal_of, refused

BASE_PATH = "/clicktodial/v1"


def create_v1(services: Services) -> FastAPI:
    """To be mounted at BASE_PATH."""
    app = FastAPI(
        title="Dialbridge Click to Dial",
        version="1.0.0",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.include_router(v1_http.router)
    app.add_middleware(LastResortMiddleware, respond=lambda: refused(Refusal.INTERNAL))

    @app.exception_handler(ApiError)
    async def not_done(_request: Request, error: ApiError) -> JSONResponse:
        return refused(refusal_of(error), error.headers)

    @app.exception_handler(RefusedError)
    async def not_done_here(_request: Request, error: RefusedError) -> JSONResponse:
        return refused(error.refusal)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, _error: RequestValidationError) -> JSONResponse:
        return refused(Refusal.CALL_ID)  # the only parameter there is

    @app.exception_handler(HTTPException)
    async def unrouted(_request: Request, error: HTTPException) -> JSONResponse:
        """For an unknown path or method the table has no row: the nearest one, with HTTP's own status."""
        headers = dict(error.headers) if error.headers else None
        return refused(Refusal.INVALID_INPUT, headers, error.status_code)

    return app
