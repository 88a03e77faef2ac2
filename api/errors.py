"""Every way a request can be refused; each error classifies itself by CAMARA_common.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

from policy.rules import Refusal
from state.connection import UNREACHABLE

MESSAGE_LIMIT = 512
"""`ErrorInfo.message` has maxLength 512."""


class ApiError(Exception):
    """A request that ends in an error response; the message may be shown to any client."""

    status: ClassVar[int]
    code: ClassVar[str]
    default: ClassVar[str]
    refusal: Refusal | None = None
    """The rule of policy that it comes from: for the log and the metric, not for the client."""

    def __init__(self, message: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message or self.default)
        self.headers = headers or {}

    def by(self, refusal: Refusal) -> Self:
        self.refusal = refusal
        return self

    @property
    def message(self) -> str:
        # A client's own words may be quoted in it; lone surrogates among them could not be sent as UTF-8.
        text = str(self).encode("utf-8", "replace").decode()
        return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"

    def body(self) -> dict[str, int | str]:
        """The CAMARA `ErrorInfo`."""
        return {"status": self.status, "code": self.code, "message": self.message}


class InvalidArgumentError(ApiError):
    status, code = 400, "INVALID_ARGUMENT"
    default = "Client specified an invalid argument, request body or query param."


class OutOfRangeError(ApiError):
    """A text longer than its property may be."""

    status, code = 400, "OUT_OF_RANGE"
    default = "Client specified an invalid range."


class UnauthenticatedError(ApiError):
    """RFC 6750, section 3: the challenge names the error only if a token was presented at all."""

    status, code = 401, "UNAUTHENTICATED"
    default = (
        "Request not authenticated due to missing, invalid, or expired credentials. "
        "A new authentication is required."
    )

    def __init__(self, token_error: str | None = None) -> None:
        challenge = 'Bearer realm="dialbridge"'
        if token_error:
            challenge += f', error="invalid_token", error_description="{token_error}"'
        super().__init__(headers={"WWW-Authenticate": challenge})


class PermissionDeniedError(ApiError):
    status, code = 403, "PERMISSION_DENIED"
    default = "Client does not have sufficient permissions to perform this action."


class InvalidTokenContextError(ApiError):
    status, code = 403, "INVALID_TOKEN_CONTEXT"
    default = "Request body is not consistent with access token."


class InsufficientScopeError(PermissionDeniedError):
    def __init__(self, scope: str) -> None:
        challenge = f'Bearer realm="dialbridge", error="insufficient_scope", scope="{scope}"'
        super().__init__(f"The access token lacks the scope {scope}.", {"WWW-Authenticate": challenge})


class EnterpriseSuspendedError(PermissionDeniedError):
    default = "The enterprise is suspended."


class NotFoundError(ApiError):
    status, code = 404, "NOT_FOUND"
    default = "The specified resource is not found."


class NoRecordingError(NotFoundError):
    default = "The call has no recording."


class IdentifierNotFoundError(ApiError):
    """A three-legged token's number is nobody's."""

    status, code = 404, "IDENTIFIER_NOT_FOUND"
    default = "The phone number of the access token belongs to no member of the enterprise."


class MethodNotAllowedError(ApiError):
    status, code = 405, "METHOD_NOT_ALLOWED"
    default = "The requested method is not allowed/supported on the target resource."


class NotAcceptableError(ApiError):
    status, code = 406, "NOT_ACCEPTABLE"
    default = (
        "The server cannot produce a response matching the content requested by the client through "
        "`Accept-*` headers."
    )


class AlreadyExistsError(ApiError):
    status, code = 409, "ALREADY_EXISTS"
    default = "An active call already exists for the given caller and callee."


class CallEndedError(AlreadyExistsError):
    """DELETE of an ended call: the API's 409 has no other code (click-to-dial.yaml, Conflict409)."""

    default = "The call has already ended."


class ChangedError(ApiError):
    """CAMARA_common.yaml, Generic409 ABORTED."""

    status, code = 409, "ABORTED"
    default = "Concurrency conflict: the resource was changed meanwhile. Read it again."


class ReferenceUsedError(AlreadyExistsError):
    default = "The reference belongs to a top-up of another amount."


class PreconditionFailedError(ApiError):
    """RFC 9110, section 13.1.1. CAMARA's code for it comes with a 400."""

    status, code = 412, "FAILED_PRECONDITION"
    default = "The resource is not as If-Match says."


class UnsupportedMediaTypeError(ApiError):
    status, code = 415, "UNSUPPORTED_MEDIA_TYPE"
    default = (
        "The server refuses to accept the request because the payload format is in an unsupported format."
    )


class RangeNotSatisfiableError(ApiError):
    """RFC 9110, section 15.5.17. CAMARA has no 416; the code is that of its 400 for the same reason."""

    status, code = 416, "OUT_OF_RANGE"
    default = "The recording is shorter than the range asked for."


class ServiceNotApplicableError(ApiError):
    status, code = 422, "SERVICE_NOT_APPLICABLE"
    default = "The service is not available for the provided identifier."


class MissingIdentifierError(ApiError):
    status, code = 422, "MISSING_IDENTIFIER"
    default = "The access token names no phone number; calls need the consent of a person."


class UnsupportedIdentifierError(ApiError):
    status, code = 422, "UNSUPPORTED_IDENTIFIER"
    default = "The identifier provided is not supported."


class InvalidPhoneNumberError(ApiError):
    status, code = 422, "INVALID_PHONE_NUMBER"
    default = "Caller or callee number is not a valid E.164 phone number."


class SameCallerCalleeError(ApiError):
    status, code = 422, "SAME_CALLER_CALLEE"
    default = "Caller and callee cannot be the same number."


class RecordingNotSupportedError(ApiError):
    status, code = 422, "RECORDING_NOT_SUPPORTED"
    default = "Recording is not supported for this call."


class NoRecorderError(RecordingNotSupportedError):
    default = "No engine has room for another recording."


class CallerNotAvailableError(ApiError):
    status, code = 422, "CALLER_NOT_AVAILABLE"
    default = "Caller number is currently not reachable or not allowed to start a call."


class NoMemberError(CallerNotAvailableError):
    default = "The caller is no member of the enterprise."


class CalleeNotAvailableError(ApiError):
    status, code = 422, "CALLEE_NOT_AVAILABLE"
    default = "Callee number is currently not reachable or not allowed to receive a call."


class IdempotencyKeyReusedError(ApiError):
    """draft-ietf-httpapi-idempotency-key-header-07, section 2.7. CAMARA has no code for it."""

    status, code = 422, "IDEMPOTENCY_KEY_REUSED"
    default = "The Idempotency-Key belongs to another request."


class TooManyRequestsError(ApiError):
    status, code = 429, "TOO_MANY_REQUESTS"
    default = "Access to the API has been temporarily blocked due to rate limits being reached."

    def __init__(self, message: str, retry_after: int) -> None:
        """`retry_after`: seconds."""
        super().__init__(message, {"Retry-After": str(retry_after)})


class QuotaExceededError(ApiError):
    status, code = 429, "QUOTA_EXCEEDED"
    default = "The enterprise's pool of minutes has too few left for another call."

    def __init__(self, retry_after: int) -> None:
        """`retry_after`: seconds."""
        super().__init__(headers={"Retry-After": str(retry_after)})


class InternalError(ApiError):
    status, code = 500, "INTERNAL"
    default = "Unknown server error. Typically a server bug."


class UnavailableError(ApiError):
    """Trying again may help, and nothing was changed unless the operation says otherwise."""

    status, code = 503, "UNAVAILABLE"
    default = "Service Unavailable."

    def __init__(self, message: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, {"Retry-After": str(retry_after)})


class NoEngineError(UnavailableError):
    default = "No engine has room for another call."


@contextmanager
def redis_reachable() -> Iterator[None]:
    """Turn an unreachable Redis into UnavailableError."""
    try:
        yield
    except UNREACHABLE as error:
        raise UnavailableError() from error
