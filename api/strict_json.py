"""Reading a JSON request body strictly: CAMARA's "request body strictness" at every level, and limits."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from api.errors import InvalidArgumentError, OutOfRangeError, UnsupportedMediaTypeError

BODY_LIMIT = 64 * 1024
"""Bytes; the largest valid CreateCallRequest has about 8 KiB."""


class StrictModel(BaseModel):
    """No unknown properties, no conversions, and no null (the OpenAPI documents mark nothing as nullable)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def null_is_no_value(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, value in data.items():
                if value is None:
                    raise PydanticCustomError("null", "'{name}' must not be null", {"name": name})
        return data


Model = TypeVar("Model", bound=StrictModel)


async def read_json(request: Request, model: type[Model]) -> Model:
    """The request's body.

    Raises UnsupportedMediaTypeError; InvalidArgumentError, OutOfRangeError naming the property.
    """
    return validated(await read_content(request), model)


async def read_content(request: Request, *media_types: str) -> Any:
    """The request's body, of one of `media_types` (application/json if none is named), not validated.

    Raises UnsupportedMediaTypeError, InvalidArgumentError.
    """
    body = await read_body(request, BODY_LIMIT)
    wanted = media_types or ("application/json",)
    if (media_type := media_type_of(request)) not in wanted and (body or media_type):
        raise UnsupportedMediaTypeError(f"The body's content type must be {' or '.join(wanted)}.")
    return parse_content(body)


def media_type_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def parse_content(body: bytes) -> Any:
    """Raises InvalidArgumentError."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidArgumentError("The request body is not UTF-8.") from error
    except RecursionError as error:
        raise InvalidArgumentError("The request body is nested too deeply.") from error
    except ValueError as error:
        raise InvalidArgumentError(f"The request body is not valid JSON: {error}.") from error


def validated(content: Any, model: type[Model]) -> Model:
    """Raises InvalidArgumentError naming the property."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        kind = OutOfRangeError if problem["type"] == "string_too_long" else InvalidArgumentError
        raise kind(_explain(problem, content)) from error


async def read_body(request: Request, limit: int) -> bytes:
    """Raises InvalidArgumentError when it has more than `limit` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise InvalidArgumentError(f"The request body is larger than {limit} bytes.")
    return bytes(body)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 8259, section 4: receivers differ on which of two equal names counts, so neither does here."""
    content = dict(pairs)
    names = [name for name, _ in pairs]
    "".join(names).encode()  # a lone surrogate is no character: UnicodeEncodeError is a ValueError
    if len(content) != len(pairs):
        raise ValueError(f"duplicate property {next(n for n in names if names.count(n) > 1)[:64]!r}")
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _explain(problem: ErrorDetails, content: Any) -> str:
    where = ".".join(part[:64] for part in _path(problem["loc"], content)) or "request body"
    match problem["type"]:
        case "extra_forbidden":
            return f"{where}: unknown property"
        case "missing":
            return f"{where}: required property is missing"
        case "model_type":
            return f"{where}: must be an object"
        case _:
            return f"{where}: {problem['msg']}"


def _path(location: tuple[int | str, ...], content: Any) -> list[str]:
    """The location without what pydantic adds to it, such as which model of a union was tried."""
    path = []
    for number, part in enumerate(location, start=1):
        known = isinstance(part, int) or (isinstance(content, dict) and part in content)
        if known or number == len(location):
            path.append(str(part))
        if known:
            content = content[part]
    return path
