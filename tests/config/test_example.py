"""The example file is the documentation of the settings, so it must be complete, valid and true."""

from __future__ import annotations

import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from config import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "config/dialbridge.example.toml"


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each section of the settings, `[[...]]` blocks too, with its model."""
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if typing.get_origin(kind) is tuple:
            kind = typing.get_args(kind)[0]
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        yield name, kind


KEYS = [(section, key) for section, model in sections() for key in model.model_fields]


def block(section: str) -> str:
    """The text of a section up to the next one."""
    found = re.search(rf"^\[+{section}\]+$(.*?)(?=^\[|\Z)", EXAMPLE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"no [{section}]"
    return found[1]


def test_it_loads() -> None:
    settings = load_settings(EXAMPLE)
    assert settings.enterprise_of(settings.clients[0].id) == settings.enterprises[0].id


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_is_explained(section: str, key: str) -> None:
    lines = block(section).splitlines()
    (at,) = [number for number, line in enumerate(lines) if re.match(rf"#?{key} = ", line)]
    before = [line for line in lines[:at] if line]
    # Keys that belong together share the comment above the first of them.
    while before and re.match(r"#?[a-z_]+ = ", before[-1]):
        before.pop()
    assert before
    assert before[-1].startswith("# ")


def test_the_values_are_the_defaults() -> None:
    written = load_settings(EXAMPLE)
    for section in Settings.model_fields:
        if section not in ("enterprises", "clients"):
            assert getattr(written, section) == getattr(Settings(), section), section


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_key_without_default_has_a_usable_example(section: str, key: str, tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    changed = tmp_path / "all.toml"
    head, mark, tail = text.partition(block(section))
    changed.write_text(head + re.sub(rf"^#({key} = )", r"\1", mark, flags=re.MULTILINE) + tail)
    content = tomllib.loads(changed.read_text())[section]
    assert key in (content[0] if isinstance(content, list) else content)
    load_settings(changed)
