"""Enterprises as text, in CSV (RFC 4180) or a command: nested keys have dots, lists spaces."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from api.provisioning import merged
from config import EnterpriseProfile


class EnterpriseTableError(ValueError):
    """The text cannot be read; the message names the table's line, or the key."""


def written(enterprises: Iterable[Mapping[str, Any]]) -> str:
    """Each as its id, its state and the keys of its profile."""
    rows = [flat(enterprise) for enterprise in enterprises]
    columns = list(dict.fromkeys(["id", *(key for row in rows for key in row)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def parsed(text: str) -> dict[str, dict[str, Any]]:
    """A merge patch for each id: an empty cell takes a key away. Raises EnterpriseTableError."""
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    patches: dict[str, dict[str, Any]] = {}
    try:
        if "id" not in (rows.fieldnames or ()):
            raise EnterpriseTableError("line 1: there is no column id")
        for row in rows:
            line = rows.line_num
            if None in row or None in row.values():
                raise EnterpriseTableError(f"line {line}: not as many cells as columns")
            if (enterprise_id := row.pop("id")) in patches:
                raise EnterpriseTableError(f"line {line}: {enterprise_id!r} comes twice")
            try:
                patches[enterprise_id] = nested(row.items())
            except EnterpriseTableError as error:
                raise EnterpriseTableError(f"line {line}: {error}") from error
    except csv.Error as error:
        raise EnterpriseTableError(f"line {rows.line_num}: {error}") from error
    return patches


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    cells: dict[str, str] = {}
    for key, value in content.items():
        match value:
            case dict():
                cells |= flat(value, f"{prefix}{key}.")
            case [str(), *_] if all(isinstance(item, str) for item in value):
                cells[prefix + key] = " ".join(value)
            case _:
                cells[prefix + key] = _cell(value)
    return cells


def nested(assignments: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A merge patch of (key, text) pairs: an empty text takes the key away. Raises EnterpriseTableError."""
    patch: dict[str, Any] = {}
    for key, text in assignments:
        *outer, last = key.split(".")
        section = patch
        for name in outer:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise EnterpriseTableError(f"{key}: {name} as a whole is named, too")
        if isinstance(section.get(last), dict):
            raise EnterpriseTableError(f"{key}: a key in it is named, too")
        section[last] = _value(key, text) if text else None
    return patch


def patched(content: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """What `nested` made, merged; a section of which nothing is left is gone.

    By RFC 7396 it stays, empty: in a table with columns for pools an enterprise without one would get one.
    """
    return {key: value for key, value in merged(content, patch).items() if value != {}}


def _value(key: str, text: str) -> Any:
    """A list of other than words is JSON; what is neither is left to the profile to complain about."""
    if not _is_list(EnterpriseProfile, key):
        return text
    if text.startswith("["):
        with suppress(ValueError):
            return json.loads(text)
    return text.split()


def _is_list(model: type[BaseModel], key: str) -> bool:
    """Whether a profile's key, with dots, has several values."""
    name, _, inner = key.partition(".")
    field = model.model_fields.get(name)
    kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
    if inner:
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        return any(_is_list(section, inner) for section in sections)
    return any(get_origin(kind) in (tuple, frozenset) for kind in kinds)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
