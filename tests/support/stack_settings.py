"""Settings of the product under test, as a TOML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from dialbridge.ports import HOST, rtp_range

CLIENT_ID = "acme-app"
CLIENT_SECRET = "secret-of-acme-app"
OTHER_CLIENT_ID = "globex-app"
OTHER_CLIENT_SECRET = "secret-of-globex-app"
ENTERPRISE_NUMBER = "+441632960000"
OTHER_ENTERPRISE_NUMBER = "+441632960001"
BLACKLISTED = "+447700900998"
NOT_RECORDED = "+447700900997"

Overrides = Mapping[str, Mapping[str, object]]
"""By section; a key given here replaces the test's own. `enterprises`: further keys of each, by its id."""


def write_settings(
    path: Path, *, redis_url: str, api_port: int, trunk_host: str, trunk_port: int, overrides: Overrides
) -> None:
    rtp_low, rtp_high = rtp_range()
    sections: dict[str, dict[str, object]] = {
        "redis": {"url": redis_url},
        "api": {"host": HOST, "port": api_port, "public_url": f"http://{HOST}:{api_port}"},
        "auth": {"embedded_issuer": True, "signing_key": str(path.parent / "issuer-key.json")},
        "trunk": {"host": trunk_host, "port": trunk_port, "codecs": ["PCMU", "PCMA"]},
        "sip": {"bind_address": HOST, "port": 0, "rtp_port_min": rtp_low, "rtp_port_max": rtp_high},
        "engine": {
            "heartbeat_interval": 0.2,
            "lost_after": 2.0,
            "shutdown_grace": 1.0,
        },
        "recording": {"root": str(path.parent / "recordings")},
        "notifier": {
            "allow_insecure_sinks": True,
            "signing_key": str(path.parent / "sink-key.json"),
            "timeout": 3.0,
            "backoff_initial": 0.1,
            "backoff_max": 0.5,
        },
        "policy": {"blacklist": [BLACKLISTED], "no_recording": [NOT_RECORDED]},
        "log": {"format": "console", "level": "info"},
    }
    further = overrides.get("enterprises", {})
    for name, keys in overrides.items():
        if name != "enterprises":
            sections[name] = {**sections.get(name, {}), **keys}
    enterprises: list[dict[str, object]] = [
        {"id": "acme", "number": ENTERPRISE_NUMBER, "callers": "anyone"},
        {"id": "globex", "number": OTHER_ENTERPRISE_NUMBER, "callers": "anyone"},
    ]
    for enterprise in enterprises:
        own = further.get(str(enterprise["id"]), {})
        assert isinstance(own, Mapping)
        enterprise.update(own)
    clients = [
        {"id": CLIENT_ID, "secret": CLIENT_SECRET, "enterprise": "acme"},
        {"id": OTHER_CLIENT_ID, "secret": OTHER_CLIENT_SECRET, "enterprise": "globex"},
    ]
    path.write_text(
        "\n".join(
            [
                *(_table(f"[{name}]", keys) for name, keys in sections.items()),
                *_tables("enterprises", enterprises),
                *_tables("clients", clients),
            ]
        )
    )


def _tables(name: str, items: Sequence[Mapping[str, object]]) -> list[str]:
    return [_table(f"[[{name}]]", item) for item in items]


def _table(heading: str, keys: Mapping[str, object]) -> str:
    return "\n".join([heading, *(f"{key} = {_toml(value)}" for key, value in keys.items())]) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    # For strings, numbers, booleans and lists of them, JSON is TOML.
    return json.dumps(value)
