"""How the OpenAPI document describes an enterprise: from its profile, which also checks what is written."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from config import EnterpriseProfile
from config.enterprises import ENTERPRISE_ID
from state.enterprises import EnterpriseState

REFERENCE = "#/components/schemas/{model}"


class _Schemas(GenerateJsonSchema):
    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """What comes twice in a set is no fault."""
        written = super().frozenset_schema(schema)
        del written["uniqueItems"]
        return written


def enterprise_schemas() -> dict[str, Any]:
    """By name: an enterprise as it is read, as it is written, as a merge patch; and what these consist of."""
    profile = EnterpriseProfile.model_json_schema(ref_template=REFERENCE, schema_generator=_Schemas)
    parts: dict[str, Any] = profile.pop("$defs")
    properties: dict[str, Any] = {
        "state": {"type": "string", "enum": list(EnterpriseState), "default": EnterpriseState.ACTIVE},
        **profile["properties"],
    }
    read = {
        "id": {"type": "string", "pattern": ENTERPRISE_ID},
        "version": {"type": "integer", "minimum": 1},
    }
    ignored = {name: {"description": "Ignored, so that what was read may be sent back."} for name in read}
    described = {**profile, "description": "All but its members and clients."}
    patch = _patch({**profile, "properties": properties}, parts)
    return {
        **parts,
        "Enterprise": {
            **described,
            "title": "Enterprise",
            "properties": {**read, **properties},
            "required": [*read, "state", *profile["required"]],
        },
        "EnterpriseContent": {
            **described,
            "title": "EnterpriseContent",
            "properties": {**ignored, **properties},
        },
        "EnterprisePatch": {
            **patch,
            "title": "EnterprisePatch",
            "description": "A JSON merge patch (RFC 7396).",
            "properties": {**ignored, **patch["properties"]},
        },
    }


def _patch(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """RFC 7396, section 1: objects are merged, and null takes a key away; lists are replaced."""
    required = schema.get("required", ())
    properties = {
        name: _patched(one, parts, removable=name not in required)
        for name, one in schema["properties"].items()
    }
    return {
        "type": "object",
        "properties": properties,
        # There is nothing to take away, so that is no fault.
        "additionalProperties": {"type": "null"},
    }


def _patched(schema: dict[str, Any], parts: dict[str, Any], *, removable: bool) -> dict[str, Any]:
    kinds = [_resolved(one, parts) for one in schema.get("anyOf", [schema])]
    kinds = [_patch(one, parts) if "properties" in one else one for one in kinds]
    if removable and {"type": "null"} not in kinds:
        kinds.append({"type": "null"})
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _resolved(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Without the default: what a patch does not name stays as it is."""
    if "$ref" in schema:
        found: dict[str, Any] = parts[schema["$ref"].rpartition("/")[2]]
        return found
    return {key: value for key, value in schema.items() if key != "default"}
