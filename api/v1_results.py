"""Result codes of the older generation, and which of them an error is (its document, section 4.4)."""

from __future__ import annotations

from enum import Enum
from typing import Any

from fastapi.responses import JSONResponse

from api.errors import (
    AlreadyExistsError,
    ApiError,
    CalleeNotAvailableError,
    CallEndedError,
    CallerNotAvailableError,
    EnterpriseSuspendedError,
    InsufficientScopeError,
    InvalidPhoneNumberError,
    InvalidTokenContextError,
    NoEngineError,
    NoMemberError,
    NoRecorderError,
    NoRecordingError,
    NotFoundError,
    PermissionDeniedError,
    RecordingNotSupportedError,
    SameCallerCalleeError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)

SUCCESS = "0000000"


class Refusal(Enum):
    """The rows of the error table: HTTP status, code, description."""

    INVALID_INPUT = 400, "0000002", "Invalid Input Value"
    USER_NOT_EXIST = 400, "0001001", "User Not Exist"
    PASSWORD = 400, "0001003", "Password Error"
    AUTHENTICATION = 400, "0001004", "Authentication Failure"
    BLACKLIST = 400, "0001008", "User In Blacklist"
    NUMBER_FORMAT = 400, "1001001", "Number Format Error"
    CALL_ID = 400, "1001002", "Call ID Error"
    OPERATION = 400, "1001003", "Operation Error"
    DIRECTION = 400, "1001004", "Direction Error"
    USER_STATUS = 403, "0001002", "User Status Error"
    TRAFFIC_CONTROL = 403, "0001002", "Traffic Control Failure"
    INTERNAL = 500, "0000001", "Internal Service Error"
    ENGINES = 500, "1000002", "Engines Return Error"
    ENGINE_TIMEOUT = 504, "1000001", "Engine Timeout"

    def __init__(self, status: int, code: str, description: str) -> None:
        self.status = status
        self.code = code
        self.description = description


class RefusedError(Exception):
    """A request that the newer generation would not refuse, or not for this reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.description)
        self.refusal = refusal


_REFUSALS: dict[type[ApiError], Refusal] = {
    UnauthenticatedError: Refusal.AUTHENTICATION,
    InsufficientScopeError: Refusal.AUTHENTICATION,
    InvalidTokenContextError: Refusal.AUTHENTICATION,
    PermissionDeniedError: Refusal.USER_NOT_EXIST,
    NoMemberError: Refusal.USER_NOT_EXIST,
    CallerNotAvailableError: Refusal.BLACKLIST,
    CalleeNotAvailableError: Refusal.BLACKLIST,
    RecordingNotSupportedError: Refusal.BLACKLIST,
    InvalidPhoneNumberError: Refusal.NUMBER_FORMAT,
    NotFoundError: Refusal.CALL_ID,
    NoRecordingError: Refusal.INVALID_INPUT,
    CallEndedError: Refusal.OPERATION,
    SameCallerCalleeError: Refusal.DIRECTION,
    EnterpriseSuspendedError: Refusal.USER_STATUS,
    AlreadyExistsError: Refusal.TRAFFIC_CONTROL,
    TooManyRequestsError: Refusal.TRAFFIC_CONTROL,
    NoEngineError: Refusal.ENGINES,
    NoRecorderError: Refusal.ENGINES,
    UnavailableError: Refusal.ENGINE_TIMEOUT,
}


def refusal_of(error: ApiError | RefusedError) -> Refusal:
    """By the most special class that the table above knows, else by the status."""
    if isinstance(error, RefusedError):
        return error.refusal
    for kind in type(error).__mro__:
        if kind in _REFUSALS:
            return _REFUSALS[kind]
    if error.status == 429:
        return Refusal.TRAFFIC_CONTROL
    return Refusal.INVALID_INPUT if error.status < 500 else Refusal.INTERNAL


def succeeded(**further: Any) -> JSONResponse:
    return JSONResponse({"code": SUCCESS, "description": "Success", **further})


def refused(
    refusal: Refusal, headers: dict[str, str] | None = None, status: int | None = None
) -> JSONResponse:
    """`status`: another than the table's."""
    body = {"code": refusal.code, "description": refusal.description}
    return JSONResponse(body, status or refusal.status, headers)
