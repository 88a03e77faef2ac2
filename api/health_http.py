"""For operators: is the process alive, can it serve calls, what did it count."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from api.metrics import CONTENT_TYPE, Counted
from api.services import Services, get_services
from state.connection import UNREACHABLE
from state.engines import EngineState

router = APIRouter(tags=["Operations"])

Parts = Annotated[Services, Depends(get_services)]


@router.get("/healthz", operation_id="healthz", summary="The process is alive")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


UNREADY: dict[int | str, dict[str, Any]] = {
    503: {"description": "It could not; the body says why", "model": dict[str, str]}
}


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="A call could be created now",
    response_model=dict[str, str],
    responses=UNREADY,
)
async def readyz(services: Parts) -> Response:
    try:
        engines = await services.engines.statuses()
    except UNREACHABLE:
        return _readiness(redis="unreachable", engine="unknown")
    up = [engine for engine in engines if engine.state is EngineState.UP]
    if not up:
        return _readiness(redis="ok", engine="none is up")
    if all(engine.calls >= engine.capacity for engine in up):
        return _readiness(redis="ok", engine="none has room")
    return _readiness(redis="ok", engine="ok")


def _readiness(**parts: str) -> JSONResponse:
    ready = all(part == "ok" for part in parts.values())
    return JSONResponse({"status": "ok" if ready else "unavailable", **parts}, 200 if ready else 503)


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Prometheus text format",
    response_class=PlainTextResponse,
)
async def metrics(services: Parts) -> Response:
    try:
        counted = Counted(
            await services.deliveries.read(), await services.refusals.read(), await services.pools.balances()
        )
    except UNREACHABLE:
        counted = None
    return Response(services.metrics.render(counted), media_type=CONTENT_TYPE)
