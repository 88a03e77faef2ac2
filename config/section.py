"""What the settings' sections are made of."""

from __future__ import annotations

from typing import Annotated, Any

from phonenumbers import SUPPORTED_REGIONS
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_serializer,
)

E164 = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{4,14}$")]


def check_country(code: str) -> str:
    """A code that no number is of (UK for GB) would refuse every call, or read its numbers wrongly."""
    if code not in SUPPORTED_REGIONS:
        raise ValueError(
            "must be the ISO 3166-1 alpha-2 code of a country with telephone numbers, such as GB"
        )
    return code


Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$"), AfterValidator(check_country)]
"""ISO 3166-1 alpha-2, and whatever else libphonenumber calls a region."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_serializer("*", mode="wrap", when_used="json")
    def sets_have_an_order(self, value: Any, write: SerializerFunctionWrapHandler) -> Any:
        """So that the same is written in the same way each time."""
        written = write(value)
        return sorted(written) if isinstance(value, frozenset) else written
