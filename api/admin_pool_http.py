"""`/admin/v1`: the pools of minutes, beside what admin_http.py serves of the enterprises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, Security
from fastapi.responses import JSONResponse
from pydantic import Field

from api.admin_http import PAGE, EnterpriseId, Limit
from api.authorization import open_id, verified
from api.calls_schemas import rfc3339
from api.errors import InternalError, InvalidArgumentError, NotFoundError, ReferenceUsedError, redis_reachable
from api.pool_accounts import MINUTES_LIMIT, REFERENCE_LIMIT, PoolAccounts, TopUpError
from api.services import Services, get_services
from api.strict_json import StrictModel, read_json
from api.tokens import Scope
from state.pool import LedgerEntry, NoPoolError, PoolStatus, TopUpResult
from state.vault import SealedError

router = APIRouter(prefix="/admin/v1/enterprises/{enterpriseId}/pool", tags=["Administration"])


class TopUp(StrictModel):
    minutes: int = Field(ge=1, le=MINUTES_LIMIT)
    reference: str = Field(min_length=1, max_length=REFERENCE_LIMIT)
    """Names this top-up, like an invoice: repeated, it adds nothing."""


async def pool_accounts(
    request: Request,
    services: Annotated[Services, Depends(get_services)],
    documented: Annotated[str | None, Security(open_id, scopes=[Scope.ADMIN])] = None,
) -> PoolAccounts:
    """Raises UnauthenticatedError, InsufficientScopeError, UnavailableError."""
    del documented
    token = await verified(request, [Scope.ADMIN], services)
    return PoolAccounts(services.enterprises, services.pools, services.audit, actor=token.client_id)


Accounts = Annotated[PoolAccounts, Depends(pool_accounts)]
From = Annotated[datetime | None, Query(alias="from", description="RFC 3339; without a zone it is UTC.")]
To = Annotated[datetime | None, Query(alias="to", description="Until before this time.")]
AfterEntry = Annotated[
    str | None, Query(description="The last one of the page before.", pattern=r"^[0-9]{1,15}-[0-9]{1,15}$")
]


@contextmanager
def _accounted() -> Iterator[None]:
    """Turns what the accounts raise into errors of the API."""
    try:
        with redis_reachable():
            yield
    except NoPoolError as error:
        raise NotFoundError(f"{error}.") from error
    except TopUpError as error:
        raise InvalidArgumentError(f"{error}.") from error
    except SealedError as error:
        raise InternalError("The key of the enterprise's secrets is not configured any more.") from error


@router.get("", summary="The enterprise's minutes, in seconds")
async def get_pool(accounts: Accounts, enterprise_id: EnterpriseId) -> Response:
    with _accounted():
        return JSONResponse(_resource(await accounts.show(enterprise_id)))


@router.post("/top-ups", summary="Add minutes, once for each reference", status_code=201)
async def top_up(request: Request, accounts: Accounts, enterprise_id: EnterpriseId) -> Response:
    wanted = await read_json(request, TopUp)
    with _accounted():
        result = await accounts.top_up(enterprise_id, minutes=wanted.minutes, reference=wanted.reference)
    match result:
        case TopUpResult.ADDED:
            return JSONResponse(wanted.model_dump(), 201)
        case TopUpResult.REPEATED:
            return JSONResponse(wanted.model_dump(), 200)
        case TopUpResult.REFERENCE_USED:
            raise ReferenceUsedError


@router.get("/ledger", summary="What has changed the balance, in order")
async def get_ledger(
    accounts: Accounts,
    enterprise_id: EnterpriseId,
    *,
    start: From = None,
    end: To = None,
    after: AfterEntry = None,
    limit: Limit = PAGE,
) -> Response:
    page: list[LedgerEntry] = []
    more = False
    with _accounted():
        async for entry in accounts.ledger(enterprise_id, _utc(start), _utc(end), after):
            if more := len(page) == limit:
                break
            page.append(entry)
    return JSONResponse({"entries": [_entry(one) for one in page], "more": more})


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _resource(status: PoolStatus) -> dict[str, int | str | bool | None]:
    return {
        "balance": status.balance,
        "reserved": status.reserved,
        "free": status.free,
        "month": status.month,
        "low": status.is_low,
    }


def _entry(entry: LedgerEntry) -> dict[str, int | str]:
    return {
        "id": entry.id,
        "at": rfc3339(entry.at),
        "kind": entry.kind.value,
        "reference": entry.reference,
        "seconds": entry.seconds,
        "balance": entry.balance,
    }
