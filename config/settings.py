"""What an administrator can set, with the defaults the product runs on.

A TOML file holds the settings (``DIALBRIDGE_CONFIG`` or ``--config`` names it); an environment variable
``DIALBRIDGE_<SECTION>__<KEY>`` overrides one key. ``dialbridge.example.toml`` explains each of them.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

CONFIG_VARIABLE = "DIALBRIDGE_CONFIG"
ENV_PREFIX = "DIALBRIDGE_"

E164 = Annotated[str, Field(pattern=r"^\+[1-9][0-9]{4,14}$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class ConfigurationError(Exception):
    """The settings cannot be used; the message names the file, the key and the remedy."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RedisSettings(Section):
    url: str | None = None
    """redis://, rediss:// or unix:// URL; none: `dialbridge serve` starts an embedded server."""
    prefix: str = Field(default="dialbridge", pattern=r"^[A-Za-z0-9_-]+$")


class ApiSettings(Section):
    host: str = "127.0.0.1"
    port: Port = 9091
    public_url: str = "http://127.0.0.1:9091"
    """The API root as clients and sinks see it: issuer and CloudEvents `source` derive from it."""


class AuthSettings(Section):
    embedded_issuer: bool = False
    """Serve /oauth2/token, discovery and JWKS ourselves. For the lab only."""
    issuer: str | None = None
    """The OpenID provider's issuer; none with the embedded issuer: `api.public_url`."""
    jwks_url: str | None = None
    """Where the provider publishes its keys; none: found by OpenID discovery."""
    audience: str = "dialbridge"
    leeway: float = Field(default=30, ge=0)
    token_lifetime: int = Field(default=3600, gt=0)
    signing_key: Path = Path("var/issuer-key.json")
    """The embedded issuer's private key (JWK), made when absent."""


class ClientSettings(Section):
    id: str = Field(min_length=1, max_length=128)
    secret: SecretStr | None = None
    """For the embedded issuer only, as is `jwks`."""
    jwks: dict[str, Any] | None = None
    """Public keys of a client that authenticates by private_key_jwt (RFC 7523)."""
    enterprise: str


class EnterpriseSettings(Section):
    id: str = Field(min_length=1, max_length=64)
    number: E164
    """The number both parties see."""


class PolicySettings(Section):
    blacklist: frozenset[E164] = frozenset()
    """Numbers that may neither be caller nor callee."""
    no_recording: frozenset[E164] = frozenset()
    """Numbers whose calls may not be recorded."""


class TrunkSettings(Section):
    host: str = "127.0.0.1"
    port: Port = 5060
    codecs: tuple[Literal["PCMU", "PCMA"], ...] = Field(default=("PCMU", "PCMA"), min_length=1)
    """In order of preference."""


class SipSettings(Section):
    bind_address: str = "127.0.0.1"
    port: Port = 5080
    """0: any free port."""
    public_address: str | None = None
    rtp_port_min: int = Field(default=20000, ge=1024, le=65000)
    rtp_port_max: int = Field(default=40000, ge=1024, le=65535)
    user_agent: str = "Dialbridge"
    trace: bool = True
    """Keep each call's SIP messages in Redis beside its events."""
    log_level: int = Field(default=3, ge=0, le=5)

    @model_validator(mode="after")
    def range_is_ordered(self) -> SipSettings:
        if self.rtp_port_min >= self.rtp_port_max:
            raise ValueError("rtp_port_min must be below rtp_port_max")
        return self


class EngineSettings(Section):
    name: str | None = None
    """Shown to operators; none: the host's name."""
    capacity: int = Field(default=500, ge=1, le=1000)
    """Calls (of two legs each) this process carries at once."""
    heartbeat_interval: Seconds = 1.0
    lost_after: Seconds = 5.0
    """An engine silent for so long gets no calls, and its calls are ended."""
    shutdown_grace: float = Field(default=30, ge=0)
    """How long live calls may go on after SIGTERM."""


class CallSettings(Section):
    no_answer_timeout: Seconds = 45.0
    """Per leg, from its INVITE."""
    max_duration: Seconds = 4 * 3600.0
    """From `connected`."""
    retention: int = Field(default=30 * 86400, gt=0)
    """How long the record of an ended call can be read."""


class RingbackSettings(Section):
    """ITU-T E.180: the frequencies sound together; the cadence is on, off, on, off ... in milliseconds."""

    frequencies: tuple[int, ...] = Field(default=(400, 450), min_length=1, max_length=2)
    cadence: tuple[int, ...] = Field(default=(400, 200, 400, 2000), min_length=2)

    @model_validator(mode="after")
    def cadence_is_paired(self) -> RingbackSettings:
        if len(self.cadence) % 2:
            raise ValueError("cadence needs an off time for each on time")
        return self


class RecordingSettings(Section):
    root: Path = Path("var/recordings")


class NotifierSettings(Section):
    allow_insecure_sinks: bool = False
    """Accept http:// sinks. For the lab only."""
    timeout: Seconds = 10.0
    concurrency: int = Field(default=64, ge=1)
    backoff_initial: Seconds = 1.0
    backoff_max: Seconds = 3600.0
    give_up_after: Seconds = 24 * 3600.0


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class Settings(BaseSettings):
    """All settings. Immutable; made once per process by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    redis: RedisSettings = RedisSettings()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    policy: PolicySettings = PolicySettings()
    trunk: TrunkSettings = TrunkSettings()
    sip: SipSettings = SipSettings()
    engine: EngineSettings = EngineSettings()
    call: CallSettings = CallSettings()
    ringback: RingbackSettings = RingbackSettings()
    recording: RecordingSettings = RecordingSettings()
    notifier: NotifierSettings = NotifierSettings()
    log: LogSettings = LogSettings()
    enterprises: tuple[EnterpriseSettings, ...] = ()
    clients: tuple[ClientSettings, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content `load_settings` passes as arguments."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def references_resolve(self) -> Settings:
        enterprise_ids = [enterprise.id for enterprise in self.enterprises]
        for client in self.clients:
            if client.enterprise not in enterprise_ids:
                raise ValueError(f"client {client.id!r} names the unknown enterprise {client.enterprise!r}")
            # With a provider of its own, only the provider knows how a client authenticates.
            if self.auth.embedded_issuer and client.secret is None and client.jwks is None:
                raise ValueError(f"client {client.id!r} has neither `secret` nor `jwks`")
        for what, ids in (("clients", [c.id for c in self.clients]), ("enterprises", enterprise_ids)):
            if len(set(ids)) != len(ids):
                raise ValueError(f"two {what} have the same id")
        return self

    @property
    def redis_url(self) -> str:
        """Raises ConfigurationError when none is set: only `dialbridge serve` starts one of its own."""
        if self.redis.url is None:
            raise ConfigurationError(
                "redis.url is not set: name the Redis server that all processes share; "
                "`dialbridge serve` starts one of its own when there is none"
            )
        return self.redis.url

    def enterprise_of(self, client_id: str) -> EnterpriseSettings | None:
        """The enterprise a provisioned client acts for."""
        client = next((c for c in self.clients if c.id == client_id), None)
        if client is None:
            return None
        return next(e for e in self.enterprises if e.id == client.enterprise)


def load_settings(path: Path | None = None) -> Settings:
    """Settings from `path`, else from the file `DIALBRIDGE_CONFIG` names, else the defaults.

    Raises ConfigurationError for a file that cannot be read or a value that cannot be used.
    """
    if path is None and (named := os.environ.get(CONFIG_VARIABLE)):
        path = Path(named)
    try:
        content = tomllib.loads(path.read_text()) if path else {}
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); name another file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    try:
        return Settings(**content)
    except ValidationError as error:
        raise ConfigurationError(_explain(path, error)) from error


def _explain(path: Path | None, error: ValidationError) -> str:
    where = str(path) if path else f"environment ({ENV_PREFIX}...)"
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
        lines.append(f"{where}: {key}: {problem['msg']}; see config/dialbridge.example.toml")
    return "\n".join(lines)
