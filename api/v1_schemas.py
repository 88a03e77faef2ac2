"""Request and response bodies of the older generation (its document, section 4.2)."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.strict_json import StrictModel


class BeginRequest(StrictModel):
    sponsor: str
    """One of the enterprise's numbers, shown to both parties."""
    caller: str
    callee: str


class ReleaseRequest(StrictModel):
    operation: str
    """`EndCall` or `Continue`; any other is an Operation Error, not an invalid input."""


class DownloadRequest(StrictModel):
    recording_id: str = Field(alias="recordingId")
    filedata: str | None = None
    """The document lists it among the request's optional attributes. It says nothing."""


class Answer(BaseModel):
    code: str = Field(pattern="^[0-9]{7}$")
    description: str


class CallResult(BaseModel):
    callidentifier: str


class BeginAnswer(Answer):
    result: CallResult


class DownloadAnswer(Answer):
    """Documents the recording's body, which is streamed."""

    filedata: str = Field(json_schema_extra={"format": "byte"})
