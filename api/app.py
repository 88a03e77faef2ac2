"""The FastAPI application: its routes and what every request passes through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api import (
    admin_http,
    admin_pool_http,
    calls_http,
    health_http,
    issuer_http,
    openapi_http,
    recordings_http,
    sink_keys_http,
)
from api.camara_document import BASE_PATHS
from api.correlator import CorrelatorMiddleware
from api.encoded_slash import EncodedSlashMiddleware
from api.error_responses import LastResortMiddleware, install_error_responses
from api.openapi_http import openapi_documents
from api.services import build_services
from api.v1_app import BASE_PATH as V1_BASE_PATH
from api.v1_app import create_v1
from config import Settings


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
        openapi_url=None,  # openapi_http.py
        redirect_slashes=False,
        generate_unique_id_function=_unique_id,
    )
    app.state.services = services
    for base_path in BASE_PATHS:
        for router in (calls_http.router, recordings_http.router):
            app.include_router(router, prefix=base_path, include_in_schema=False)  # camara_document.py
    app.include_router(admin_http.router)
    app.include_router(admin_pool_http.router)
    app.mount(V1_BASE_PATH, create_v1(services))
    if services.issuer is not None:
        app.include_router(issuer_http.router)
    app.include_router(sink_keys_http.router)
    app.include_router(health_http.router)
    app.include_router(openapi_http.router)
    app.state.documents = openapi_documents(app, services)
    install_error_responses(app)
    # The last one added is the outermost.
    app.add_middleware(LastResortMiddleware)
    app.add_middleware(EncodedSlashMiddleware)
    app.add_middleware(CorrelatorMiddleware)
    return app


def _unique_id(route: APIRoute) -> str:
    return f"{route.name}:{route.path_format}"
