"""CAMARA's own schemas (copies of the published documents are in `camara/`) as validators."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from native.bundle_camara import AsWritten

_ROOT = Path(__file__).parent / "camara"
_BASE = "https://camara.invalid/"
_API = f"{_BASE}API_definitions/click-to-dial.yaml"


def validate(schema: str, instance: object) -> None:
    """Against `components/schemas/<schema>` of click-to-dial.yaml; raises ValidationError."""
    _validator(f"{_API}#/components/schemas/{schema}").validate(instance)


def validate_error(status: int, body: object) -> None:
    """Against the API's own error response of this status, else that of CAMARA_common.yaml."""
    names = {409: "Conflict409", 422: "UnprocessableEntity422"}
    document = _API if status in (400, 401, 403, 404, 409, 422) else f"{_BASE}common/CAMARA_common.yaml"
    pointer = (
        f"#/components/responses/{names.get(status, f'Generic{status}')}/content/application~1json/schema"
    )
    _validator(document + pointer).validate(body)
    assert isinstance(body, dict)
    assert set(body) == {"status", "code", "message"}


def camara_dereferenced() -> Any:
    """click-to-dial.yaml with everything that it refers to in its place."""
    return _dereferenced({"$ref": _API}, _registry().resolver())


def dereferenced(document: dict[str, Any]) -> Any:
    """The same of one document that refers to nothing but itself."""
    resource = DRAFT202012.create_resource(document)
    return _dereferenced(document, Registry[Any]().resolver_with_root(resource))


def _dereferenced(part: Any, resolver: Any) -> Any:
    match part:
        case {"$ref": str(reference)}:
            found = resolver.lookup(reference)
            return _dereferenced(found.contents, found.resolver)
        case dict():
            return {name: _dereferenced(one, resolver) for name, one in part.items()}
        case list():
            return [_dereferenced(one, resolver) for one in part]
        case _:
            return part


def codes_of(part: Any) -> set[tuple[int, str]]:
    """The pairs of status and code in the schemas of all error responses of a document or a part."""
    match part:
        case {"properties": {"status": {"enum": [int(status)]}, "code": {"enum": list(codes)}}}:
            return {(status, code) for code in codes}
        case dict():
            return set().union(*map(codes_of, part.values()))
        case list():
            return set().union(*map(codes_of, part))
        case _:
            return set()


@cache
def _registry() -> Registry[Any]:
    documents = (
        (path, yaml.load(path.read_text(), AsWritten))  # noqa: S506  # it is a SafeLoader
        for path in _ROOT.rglob("*.yaml")
    )
    return Registry().with_resources(
        (f"{_BASE}{path.relative_to(_ROOT)}", DRAFT202012.create_resource(document))
        for path, document in documents
    )


@cache
def _validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": reference}, registry=_registry())
