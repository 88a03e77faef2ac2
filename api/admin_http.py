"""`/admin/v1`: enterprises, their members and clients. Not CAMARA's, but with its errors.

What is not said here of bodies and answers for the OpenAPI document, admin_document.py says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from fastapi.responses import JSONResponse

from api.authorization import open_id, verified
from api.errors import (
    ChangedError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionFailedError,
    UnsupportedMediaTypeError,
    redis_reachable,
)
from api.media_types import preferred
from api.member_table import MemberTableError, parsed, written
from api.provisioning import Provisioning, ProvisioningError, UnknownError, content_of
from api.services import Services, get_services
from api.strict_json import media_type_of, parse_content, read_body, read_content
from api.tokens import Scope
from config import enterprises
from config.section import E164
from state.enterprises import ChangedMeanwhileError, Enterprise
from state.vault import SealedError

router = APIRouter(prefix="/admin/v1", tags=["Administration"])

TABLE_LIMIT = 4 * 1024 * 1024
"""Bytes of an import: about 100,000 members."""
PAGE = 1000

_ETAG = re.compile(r'"([0-9]{1,15})"')


async def administration(
    request: Request,
    services: Annotated[Services, Depends(get_services)],
    documented: Annotated[str | None, Security(open_id, scopes=[Scope.ADMIN])] = None,
) -> Provisioning:
    """Raises UnauthenticatedError, InsufficientScopeError, UnavailableError."""
    del documented
    token = await verified(request, [Scope.ADMIN], services)
    return Provisioning(
        services.enterprises,
        services.audit,
        actor=token.client_id,
        notifier=services.settings.notifier,
        strict=True,
    )


Administration = Annotated[Provisioning, Depends(administration)]
EnterpriseId = Annotated[enterprises.EnterpriseId, Path(alias="enterpriseId")]
Number = Annotated[E164, Path()]
ClientId = Annotated[str, Path(alias="clientId", max_length=128)]
After = Annotated[str, Query(description="The last one of the page before.", max_length=256)]
Limit = Annotated[int, Query(ge=1, le=PAGE)]


@contextmanager
def _provisioned() -> Iterator[None]:
    """Turns what provisioning raises into errors of the API."""
    try:
        with redis_reachable():
            yield
    except UnknownError as error:
        raise NotFoundError(f"{error}.") from error
    except ProvisioningError as error:
        raise InvalidArgumentError(f"{error}.") from error
    except ChangedMeanwhileError as error:
        raise ChangedError from error
    except SealedError as error:
        raise InternalError("The key of the enterprise's secrets is not configured any more.") from error


@router.get("/enterprises", summary="All enterprises, by id")
async def list_enterprises(administration: Administration, after: After = "", limit: Limit = 100) -> Response:
    page: list[dict[str, Any]] = []
    more = False
    with _provisioned():
        async for enterprise in administration.all(after=after):
            if more := len(page) == limit:
                break
            page.append(_resource(enterprise))
    return JSONResponse({"enterprises": page, "more": more})


@router.get("/enterprises/{enterpriseId}", summary="One enterprise, without its secrets")
async def get_enterprise(administration: Administration, enterprise_id: EnterpriseId) -> Response:
    with _provisioned():
        return _answer(await administration.get(enterprise_id))


@router.put("/enterprises/{enterpriseId}", summary="Make an enterprise, or replace all that is said of it")
async def put_enterprise(
    request: Request, administration: Administration, enterprise_id: EnterpriseId
) -> Response:
    content = _object(await read_content(request))
    with _provisioned(), _precondition(request):
        enterprise = await administration.replace(enterprise_id, content, _if_match(request))
    return _answer(enterprise, 201 if enterprise.version == 1 else 200)


@router.patch("/enterprises/{enterpriseId}", summary="Change some of what is said of it (RFC 7396)")
async def patch_enterprise(
    request: Request, administration: Administration, enterprise_id: EnterpriseId
) -> Response:
    content = _object(await read_content(request, "application/merge-patch+json", "application/json"))
    with _provisioned(), _precondition(request):
        return _answer(await administration.change(enterprise_id, content, _if_match(request)))


@router.get("/enterprises/{enterpriseId}/members", summary="Who may be a caller; also as text/csv")
async def list_members(
    request: Request,
    administration: Administration,
    enterprise_id: EnterpriseId,
    after: After = "",
    limit: Limit = PAGE,
) -> Response:
    with _provisioned():
        members = await administration.members(enterprise_id)
    if preferred(request.headers.get("accept", ""), ("application/json", "text/csv")) == "text/csv":
        return Response(written(members), media_type="text/csv; charset=utf-8; header=present")
    found = [{"number": number, "name": name} for number, name in members.items() if number > after]
    return JSONResponse({"members": found[:limit], "more": len(found) > limit})


@router.post("/enterprises/{enterpriseId}/members", summary="Add members: all of a CSV or JSON list, or none")
async def import_members(
    request: Request, administration: Administration, enterprise_id: EnterpriseId
) -> Response:
    body = await read_body(request, TABLE_LIMIT)
    match media_type_of(request):
        case "text/csv":
            members = _members_of_table(body)
        case "application/json":
            members = _members_of_list(parse_content(body))
        case _:
            raise UnsupportedMediaTypeError("The body's content type must be text/csv or application/json.")
    with _provisioned():
        added = await administration.add_members(enterprise_id, members)
    return JSONResponse({"added": added, "known": len(members) - added})


@router.put("/enterprises/{enterpriseId}/members/{number}", summary="Add one member", status_code=204)
async def put_member(
    administration: Administration,
    enterprise_id: EnterpriseId,
    number: Number,
    name: Annotated[str, Query()] = "",
) -> Response:
    with _provisioned():
        await administration.add_members(enterprise_id, {number: name})
    return Response(status_code=204)


@router.delete("/enterprises/{enterpriseId}/members/{number}", summary="Remove one member", status_code=204)
async def delete_member(
    administration: Administration, enterprise_id: EnterpriseId, number: Number
) -> Response:
    with _provisioned():
        await administration.remove_member(enterprise_id, number)
    return Response(status_code=204)


@router.get("/enterprises/{enterpriseId}/clients", summary="Which OAuth clients act for the enterprise")
async def list_clients(administration: Administration, enterprise_id: EnterpriseId) -> dict[str, list[str]]:
    with _provisioned():
        return {"clients": await administration.clients(enterprise_id)}


@router.put(
    "/enterprises/{enterpriseId}/clients/{clientId}", summary="Let a client act for it", status_code=204
)
async def put_client(
    administration: Administration,
    enterprise_id: EnterpriseId,
    client_id: ClientId,
) -> Response:
    with _provisioned():
        await administration.assign_client(enterprise_id, client_id)
    return Response(status_code=204)


@router.delete(
    "/enterprises/{enterpriseId}/clients/{clientId}",
    summary="Let a client act for it no longer",
    status_code=204,
)
async def delete_client(
    administration: Administration,
    enterprise_id: EnterpriseId,
    client_id: ClientId,
) -> Response:
    with _provisioned():
        await administration.remove_client(enterprise_id, client_id)
    return Response(status_code=204)


def _resource(enterprise: Enterprise) -> dict[str, Any]:
    return {"id": enterprise.id, "version": enterprise.version, **content_of(enterprise)}


def _answer(enterprise: Enterprise, status: int = 200) -> Response:
    return JSONResponse(_resource(enterprise), status, {"ETag": f'"{enterprise.version}"'})


def _object(content: Any) -> dict[str, Any]:
    """What a reader gets may be sent back: `id` and `version` are no part of what can be written."""
    if not isinstance(content, dict):
        raise InvalidArgumentError("request body: must be an object")
    return {key: value for key, value in content.items() if key not in ("id", "version")}


def _if_match(request: Request) -> int | None:
    """RFC 9110, section 13.1.1. Raises PreconditionFailedError for what is none of our tags."""
    value = request.headers.get("if-match", "*").strip()
    if value == "*":
        return None
    if (found := _ETAG.fullmatch(value)) is None:
        raise PreconditionFailedError
    return int(found[1])


@contextmanager
def _precondition(request: Request) -> Iterator[None]:
    try:
        yield
    except ChangedMeanwhileError as error:
        if "if-match" in request.headers:
            raise PreconditionFailedError from error
        raise


def _members_of_table(body: bytes) -> dict[str, str]:
    try:
        return parsed(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidArgumentError("The request body is not UTF-8.") from error
    except MemberTableError as error:
        raise InvalidArgumentError(f"{error}.") from error


def _members_of_list(content: Any) -> dict[str, str]:
    if not isinstance(content, list):
        raise InvalidArgumentError("request body: must be a list")
    members: dict[str, str] = {}
    for index, one in enumerate(content):
        match one:
            case str(number):
                members[number] = ""
            case {"number": str(number), **further} if not further:
                members[number] = ""
            case {"number": str(number), "name": str(name), **further} if not further:
                members[number] = name
            case _:
                raise InvalidArgumentError(f"{index}: must be a number, or an object of number and name")
    return members
