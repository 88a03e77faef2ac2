"""Request and response bodies of the CAMARA generation (click-to-dial.yaml, components/schemas)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.errors import InvalidArgumentError
from api.strict_json import StrictModel
from api.wanted_call import Sink, WantedCall
from state.call import Call, CallState

CALL_ID_PATTERN = r"^[A-Za-z0-9._~:-]{1,256}$"

_DATE_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt]([0-2]\d:[0-5]\d):([0-5]\d|60)(?:\.\d+)?([Zz]|[+-][0-2]\d:[0-5]\d)", re.ASCII
)
_HEADER_TOKEN = re.compile(r"[!-~]+")


def parse_date_time(text: str) -> datetime:
    """RFC 3339, section 5.6, with its leap second; a time zone is required. To the second."""
    if (found := _DATE_TIME.fullmatch(text)) is None:
        raise PydanticCustomError("date_time", "must be an RFC 3339 date-time with time zone")
    date, hour_minute, second, zone = found.groups()
    try:
        return datetime.fromisoformat(f"{date}T{hour_minute}:{min(int(second), 59):02}{zone.upper()}")
    except ValueError as error:
        raise PydanticCustomError("date_time", "is not a date and time that exists") from error


def check_date_time(text: str) -> str:
    parse_date_time(text)
    return text


def check_token(text: str) -> str:
    """It goes into an `Authorization` header as it is (RFC 9110, section 5.5): visible ASCII only."""
    if _HEADER_TOKEN.fullmatch(text) is None:
        raise PydanticCustomError("token", "must consist of visible ASCII characters")
    return text


class Party(StrictModel):
    number: str
    """Any string here: one off the E.164 pattern is 422 INVALID_PHONE_NUMBER, not 400."""


class AccessTokenCredential(StrictModel):
    credential_type: Literal["ACCESSTOKEN"] = Field(alias="credentialType")
    access_token: Annotated[str, Field(max_length=4096), AfterValidator(check_token)] = Field(
        alias="accessToken", repr=False
    )
    access_token_expires_utc: Annotated[str, Field(max_length=64), AfterValidator(check_date_time)] = Field(
        alias="accessTokenExpiresUtc"
    )
    access_token_type: Literal["bearer"] = Field(alias="accessTokenType")

    @property
    def expires_at(self) -> datetime:
        return parse_date_time(self.access_token_expires_utc)


class PrivateKeyJwtCredential(StrictModel):
    credential_type: Literal["PRIVATE_KEY_JWT"] = Field(alias="credentialType")
    client_id: str = Field(alias="clientId", min_length=1, max_length=128)
    token_uri: str = Field(alias="tokenUri", max_length=2048, json_schema_extra={"format": "uri"})


SinkCredential = Annotated[
    AccessTokenCredential | PrivateKeyJwtCredential, Field(discriminator="credential_type")
]


class CreateCallRequest(StrictModel):
    caller: Party
    callee: Party
    sink: Annotated[str, Field(max_length=2048, json_schema_extra={"format": "uri"})] | None = None
    sink_credential: SinkCredential | None = Field(default=None, alias="sinkCredential")
    recording_enabled: bool = Field(default=False, alias="recordingEnabled")

    def wanted(self) -> WantedCall:
        """Raises InvalidArgumentError for a credential without a sink."""
        return WantedCall(self.caller.number, self.callee.number, self.recording_enabled, self._sink())

    def _sink(self) -> Sink | None:
        if self.sink is None:
            if self.sink_credential is not None:
                raise InvalidArgumentError("sinkCredential: has no use without sink")
            return None
        match self.sink_credential:
            case AccessTokenCredential(access_token=token, expires_at=expires_at):
                return Sink(self.sink, token=token, token_expires_at=expires_at)
            case PrivateKeyJwtCredential(client_id=client_id, token_uri=token_uri):
                return Sink(self.sink, client_id=client_id, token_uri=token_uri)
            case _:
                return Sink(self.sink)


class PartyResource(BaseModel):
    number: str


class CallResource(BaseModel):
    """`Call` of the OpenAPI document."""

    model_config = ConfigDict(populate_by_name=True)

    call_id: str = Field(alias="callId", pattern=CALL_ID_PATTERN)
    caller: PartyResource
    callee: PartyResource
    status: CallState
    created_at: str = Field(alias="createdAt", json_schema_extra={"format": "date-time"})
    recording_enabled: bool = Field(alias="recordingEnabled")

    @classmethod
    def of(cls, call: Call) -> CallResource:
        return cls(
            call_id=call.id,
            caller=PartyResource(number=call.caller),
            callee=PartyResource(number=call.callee),
            status=call.state,
            created_at=rfc3339(call.created_at),
            recording_enabled=call.recording_enabled,
        )


def rfc3339(at: datetime) -> str:
    """UTC, to the millisecond, with `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
