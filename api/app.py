"""The FastAPI application: its routes and what every request passes through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api import admin_http, calls_http, health_http, issuer_http, recordings_http, sink_keys_http
from api.calls_schemas import CreateCallRequest
from api.correlator import CorrelatorMiddleware
from api.encoded_slash import EncodedSlashMiddleware
from api.error_responses import LastResortMiddleware, install_error_responses
from api.services import build_services
from api.v1_app import BASE_PATH as V1_BASE_PATH
from api.v1_app import create_v1
from config import Settings

CAMARA_BASE_PATHS = ("/click-to-dial/v0.2", "/click-to-dial/vwip")
"""The release, and the name that the OpenAPI document itself uses."""


def create_app(settings: Settings) -> FastAPI:
    """Raises ConfigurationError."""
    services = build_services(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await services.close()

    app = FastAPI(
        title="Dialbridge",
        version="0.1.0",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_unique_id,
    )
    app.state.services = services
    for base_path in CAMARA_BASE_PATHS:
        app.include_router(calls_http.router, prefix=base_path)
        app.include_router(recordings_http.router, prefix=base_path)
    app.include_router(admin_http.router)
    app.mount(V1_BASE_PATH, create_v1(services))
    if services.issuer is not None:
        app.include_router(issuer_http.router)
    app.include_router(sink_keys_http.router)
    app.include_router(health_http.router)
    install_error_responses(app)
    # The last one added is the outermost.
    app.add_middleware(LastResortMiddleware)
    app.add_middleware(EncodedSlashMiddleware)
    app.add_middleware(CorrelatorMiddleware)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _unique_id(route: APIRoute) -> str:
    return f"{route.name}:{route.path_format}"


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document with the request body that calls_http reads itself."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        body = CreateCallRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(body.pop("$defs"))
        schemas[CreateCallRequest.__name__] = body
        _drop_framework_errors(document)
        app.openapi_schema = document
    return app.openapi_schema


def _drop_framework_errors(document: dict[str, Any]) -> None:
    """FastAPI documents a 422 wherever a parameter could be wrong; that is our 400."""
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
