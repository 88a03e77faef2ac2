"""Makes the OpenAPI document that the api serves from CAMARA's own, in api/camara/.

CAMARA's documents (copies are in tests/api/camara/) refer to each other as files; a client gets one document.
What they say is not changed. Nobody needs this but who takes a newer release:

    .venv/bin/python -m native.bundle_camara
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "tests" / "api" / "camara" / "API_definitions" / "click-to-dial.yaml"
BUNDLE = ROOT / "api" / "camara" / "click-to-dial.json"


class AsWritten(yaml.SafeLoader):
    """JSON knows no dates: an example's time stays the text that it is."""


AsWritten.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Bundler:
    """One document out of several files, each component under its own name."""

    def __init__(self) -> None:
        self._elsewhere: dict[tuple[str, str], Path] = {}
        """Components (section, name) of other files that something refers to."""

    def bundle(self, source: Path) -> dict[str, Any]:
        document: dict[str, Any] = self._within(source, _read(source))
        taken: set[tuple[str, str]] = set()
        while missing := {place: file for place, file in self._elsewhere.items() if place not in taken}:
            for (section, name), file in missing.items():
                # What stands there, if anything, is only a reference to its namesake in the other file.
                there = document["components"].setdefault(section, {})
                there[name] = self._within(file, _read(file)["components"][section][name])
            taken |= missing.keys()
        return document

    def _within(self, file: Path, part: Any) -> Any:
        """`part` of `file` with references into the one document."""
        match part:
            case {"$ref": str(reference)}:
                return {"$ref": self._reference(file, reference)}
            case dict():
                return {name: self._mapping(file, value) for name, value in part.items()}
            case list():
                return [self._within(file, item) for item in part]
            case _:
                return part

    def _mapping(self, file: Path, value: Any) -> Any:
        """A discriminator's mapping refers by bare text."""
        if isinstance(value, str) and value.startswith("#/components/"):
            return self._reference(file, value)
        return self._within(file, value)

    def _reference(self, file: Path, reference: str) -> str:
        where, _, pointer = reference.partition("#")
        if where or file != SOURCE:
            _, _, section, name = pointer.split("/")
            self._elsewhere[section, name] = (file.parent / where).resolve() if where else file
        return f"#{pointer}"


def _read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(file.read_text(), AsWritten)  # noqa: S506  # it is a SafeLoader
    return document


def main() -> None:
    BUNDLE.parent.mkdir(exist_ok=True)
    BUNDLE.write_text(json.dumps(Bundler().bundle(SOURCE), indent=1, ensure_ascii=False) + "\n")
    print(BUNDLE.relative_to(ROOT))


if __name__ == "__main__":
    main()
