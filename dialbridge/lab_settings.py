"""The lab's settings file: everything on this machine, with fresh secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from config import NumberClass
from dialbridge.ports import HOST, rtp_range

ENTERPRISE_NUMBER = "+441632960000"
OTHER_ENTERPRISE_NUMBER = "+441632960001"
BLACKLISTED = "+447700900998"
NOT_RECORDED = "+447700900997"
CLIENT_ID = "lab"
OTHER_CLIENT_ID = "lab-other"
ADMIN_CLIENT_ID = "lab-admin"
SHUTDOWN_GRACE = 2


@dataclass(frozen=True, slots=True)
class LabSettings:
    """What differs between two labs."""

    var: Path
    api_port: int
    redis_url: str
    trunk_port: int
    client_secret: str
    other_client_secret: str
    admin_client_secret: str
    app_server: str | None
    """Of the first enterprise, for the older API generation."""

    @classmethod
    def fresh(
        cls, *, var: Path, api_port: int, redis_url: str, trunk_port: int, app_server: str | None = None
    ) -> LabSettings:
        first, second, third = (token_urlsafe(32) for _ in range(3))
        return cls(var, api_port, redis_url, trunk_port, first, second, third, app_server)

    @property
    def api_root(self) -> str:
        return f"http://{HOST}:{self.api_port}"

    def toml(self) -> str:
        rtp_low, rtp_high = rtp_range()
        var = self.var.resolve()
        app_server = "" if self.app_server is None else f", app_server = {_text(self.app_server)}"
        return f"""\
# Written anew at every start of the lab; `config/dialbridge.example.toml` explains each setting.

[redis]
url = {_text(self.redis_url)}

[api]
host = "{HOST}"
port = {self.api_port}
public_url = "{self.api_root}"

[auth]
embedded_issuer = true
signing_key = {_text(str(var / "lab" / "issuer-key.json"))}

# The phones: sipp-scenarios/phones.xml.
[trunk]
host = "{HOST}"
port = {self.trunk_port}
codecs = ["PCMU", "PCMA"]
# What the phone whose number ends in 25 asks for.
credentials = {{ username = "lab", password = "lab-secret", realm = "dialbridge-lab" }}

[call]
# The phone whose number ends in 26 sends no audio.
media_timeout = 10

[sip]
bind_address = "{HOST}"
port = 0
rtp_port_min = {rtp_low}
rtp_port_max = {rtp_high}

[engine]
name = "lab"
shutdown_grace = {SHUTDOWN_GRACE}

[recording]
root = {_text(str(var / "recordings"))}

[notifier]
allow_insecure_sinks = true
signing_key = {_text(str(var / "lab" / "sink-key.json"))}

[policy]
# All phones of the lab are its own, whatever their numbers cost elsewhere.
classes = {json.dumps(list(NumberClass))}
blacklist = ["{BLACKLISTED}"]
no_recording = ["{NOT_RECORDED}"]

[log]
format = "console"

[[enterprises]]
id = "lab"
number = "{ENTERPRISE_NUMBER}"
home_country = "GB"
callers = "anyone"
v1 = {{ recording = true{app_server} }}

[[enterprises]]
id = "lab-other"
number = "{OTHER_ENTERPRISE_NUMBER}"
home_country = "GB"
callers = "anyone"
v1 = {{ recording = true }}

[[clients]]
id = "{CLIENT_ID}"
secret = {_text(self.client_secret)}
enterprise = "lab"

# A second client, to see that nobody sees another's calls.
[[clients]]
id = "{OTHER_CLIENT_ID}"
secret = {_text(self.other_client_secret)}
enterprise = "lab-other"

# What opens /admin/v1.
[[clients]]
id = "{ADMIN_CLIENT_ID}"
secret = {_text(self.admin_client_secret)}
admin = true
"""

    def description(self, config: Path) -> dict[str, str]:
        """What var/lab.json tells a client of the lab."""
        return {
            "api_root": self.api_root,
            "token_url": f"{self.api_root}/oauth2/token",
            "client_id": CLIENT_ID,
            "client_secret": self.client_secret,
            "enterprise_number": ENTERPRISE_NUMBER,
            "other_client_id": OTHER_CLIENT_ID,
            "other_client_secret": self.other_client_secret,
            "admin_client_id": ADMIN_CLIENT_ID,
            "admin_client_secret": self.admin_client_secret,
            "redis_url": self.redis_url,
            "config": str(config.resolve()),
        }


def _text(value: str) -> str:
    """A TOML basic string; of what JSON would write differently, none occurs in paths and secrets."""
    return json.dumps(value, ensure_ascii=False)
