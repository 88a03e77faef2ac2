"""The configuration file of one test platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BLACKLISTED = "+447700900998"
UNRECORDED = "+447700900997"
SECRET = "correct horse: battery/staple+%"


def write_config(folder: Path, redis_url: str, prefix: str, *, changes: dict[str, Any] | None = None) -> Path:
    """`changes` replaces keys of sections, or adds sections."""
    sections: dict[str, Any] = {
        "redis": {"url": redis_url, "prefix": prefix},
        "api": {"port": 0},
        "auth": {"embedded_issuer": True, "signing_key": str(folder / "issuer-key.json")},
        "policy": {"blacklist": [BLACKLISTED], "no_recording": [UNRECORDED]},
        "recording": {"root": str(folder / "recordings")},
        "notifier": {
            "allow_insecure_sinks": True,
            "signing_key": str(folder / "sink-key.json"),
            "timeout": 2.0,
            "concurrency": 8,
            "concurrency_per_sink": 4,
            "backoff_initial": 0.05,
            "backoff_max": 0.2,
        },
        "log": {"level": "info"},
    }
    for name, section in (changes or {}).items():
        if isinstance(section, dict):
            sections[name] = {**sections.get(name, {}), **section}
        else:
            sections[name] = section
    sections.setdefault(
        "enterprises",
        [
            {"id": "acme", "number": "+442079460000", "callers": "anyone"},
            {"id": "globex", "number": "+442079460001", "callers": "anyone"},
        ],
    )
    sections.setdefault("clients", [{"id": "shop", "secret": SECRET, "enterprise": "acme"}])
    path = folder / f"{prefix}.toml"
    # A TOML key is a section here: inline tables on top level keep the writer trivial.
    path.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in sections.items()))
    return path


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
        case list():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case _:
            return json.dumps(value)
