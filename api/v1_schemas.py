"""Request and response bodies of the older generation (its document, section 4.2)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from api.strict_json import StrictModel
from api.v1_numbers import PATTERN

Number = Annotated[str, Field(json_schema_extra={"pattern": PATTERN})]
"""What does not match is a Number Format Error, not an invalid input."""


class BeginRequest(StrictModel):
    sponsor: Number
    """One of the enterprise's numbers, shown to both parties."""
    caller: Number
    callee: Number


class ReleaseRequest(StrictModel):
    operation: str = Field(json_schema_extra={"enum": ["EndCall", "Continue"]})
    """`EndCall` or `Continue`; any other is an Operation Error, not an invalid input."""


class DownloadRequest(StrictModel):
    recording_id: str = Field(alias="recordingId")
    filedata: str = ""
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
