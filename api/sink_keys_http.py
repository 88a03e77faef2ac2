"""The public half of what we sign with at sinks' token endpoints (`jwksUri` of PrivateKeyJWTCredential)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from api.services import Services, get_services

router = APIRouter(tags=["Sink keys"])


@router.get(
    "/.well-known/jwks.json", operation_id="sinkKeys", summary="The keys that sign our client assertions"
)
async def sink_keys(services: Annotated[Services, Depends(get_services)]) -> dict[str, Any]:
    return dict(services.sink_keys.as_dict())
