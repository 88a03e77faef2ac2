"""The two OpenAPI documents: CAMARA's generation, and everything else that this service answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from api.admin_document import describe_administration
from api.camara_document import camara_document
from api.services import Services

CAMARA = "/openapi.json"
PLATFORM = "/openapi-platform.json"

router = APIRouter(include_in_schema=False)


@router.get(CAMARA)
async def camara(request: Request) -> JSONResponse:
    return JSONResponse(request.app.state.documents[CAMARA])


@router.get(PLATFORM)
async def platform(request: Request) -> JSONResponse:
    return JSONResponse(request.app.state.documents[PLATFORM])


def openapi_documents(app: FastAPI, services: Services) -> dict[str, dict[str, Any]]:
    """By the path that serves them."""
    camara = camara_document(
        api_root=services.settings.api.public_url,
        issuer=services.settings.auth.issuer or services.settings.api.public_url,
    )
    camara["info"]["x-dialbridge-platform"] = PLATFORM
    return {CAMARA: camara, PLATFORM: _platform(app, camara["components"])}


def _platform(app: FastAPI, camara: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document of all routes but CAMARA's, which are not in its schema."""
    document = get_openapi(
        title="Dialbridge platform",
        version=app.version,
        description=f"What is beside the CAMARA generation, which {CAMARA} describes.",
        routes=app.routes,
    )
    _drop_framework_errors(document)
    components = document.setdefault("components", {})
    for section, names in {"headers": ("x-correlator",), "schemas": ("ErrorInfo", "XCorrelator")}.items():
        components.setdefault(section, {}).update({name: camara[section][name] for name in names})
    describe_administration(document)
    return document


def _drop_framework_errors(document: dict[str, Any]) -> None:
    """FastAPI documents a 422 wherever a parameter could be wrong; that is our 400."""
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document.get("components", {}).get("schemas", {}).pop(name, None)
