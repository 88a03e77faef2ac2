"""What an administrator can set, with the defaults the product runs on.

A TOML file holds the settings (``DIALBRIDGE_CONFIG`` or ``--config`` names it); an environment variable
``DIALBRIDGE_<SECTION>__<KEY>`` overrides one key. ``dialbridge.example.toml`` explains each of them.
"""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pyrage
from cryptography.fernet import Fernet
from pydantic import (
    AfterValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from config.enterprises import EnterpriseSettings, RecordingChannels
from config.policy import PolicySettings
from config.section import Section

CONFIG_VARIABLE = "DIALBRIDGE_CONFIG"
ENV_PREFIX = "DIALBRIDGE_"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]


class ConfigurationError(Exception):
    """The settings cannot be used; the message names the file, the key and the remedy."""


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
    enterprise_claim: str | None = None
    """The claim that names the enterprise; none, or a token without it: as the client is provisioned."""
    phone_number_claim: str = "phone_number"
    """The claim of a three-legged token with the number of the person who consented."""
    person_required: bool = False
    """Only a three-legged token may create a call."""
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
    admin: bool = False
    """Whether the embedded issuer grants it the scope `dialbridge:admin`."""
    enterprise: str | None = None
    """None: as `/admin/v1` or `auth.enterprise_claim` says."""


Codec = Literal["PCMU", "PCMA", "G722", "opus", "G729", "AMR", "GSM"]
WIDEBAND_CODECS: frozenset[str] = frozenset({"G722", "opus"})


class CredentialSettings(Section):
    """For digest authentication (RFC 8760: MD5 and SHA-256)."""

    username: str = Field(min_length=1)
    password: SecretStr
    realm: str = "*"
    """The realm the credentials are for; "*": any."""


class TrunkSettings(Section):
    name: str = Field(default="default", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """As call detail records show it."""
    host: str = "127.0.0.1"
    port: Port = 5060
    credentials: CredentialSettings | None = None
    codecs: tuple[Codec, ...] = Field(default=("PCMU", "PCMA"), min_length=1)
    """In order of preference."""
    ptime: Literal[10, 20, 30, 40] = 20
    """Milliseconds of audio in a packet that we ask for; the peer's `a=ptime` decides what we send."""
    early_media: Literal["play", "ignore"] = "play"
    """Whether the caller hears the network's early media (RFC 3960) or always our ringback."""
    reliable_provisional: Literal["off", "optional", "required"] = "optional"
    """RFC 3262."""
    digits: Literal["auto", "rfc4733", "info"] = "auto"
    """How we send digits; auto: as RFC 4733 events where the peer offers them, else by SIP INFO."""
    session_timer: Literal["off", "optional", "required", "always"] = "optional"
    """RFC 4028."""
    session_expires: int = Field(default=1800, ge=90)
    min_se: int = Field(default=90, ge=90)

    @model_validator(mode="after")
    def values_agree(self) -> TrunkSettings:
        if self.session_expires < self.min_se:
            raise ValueError("session_expires must not be below min_se")
        if len(set(self.codecs)) != len(self.codecs):
            raise ValueError("codecs names a codec twice")
        return self

    @property
    def is_wideband(self) -> bool:
        """Whether a leg may carry more than telephone bandwidth: then the bridge runs at 16 kHz."""
        return not WIDEBAND_CODECS.isdisjoint(self.codecs)


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
    no_progress_timeout: Seconds = 10.0
    """Per leg, from its INVITE, until the network has said anything at all."""
    max_duration: Seconds = 4 * 3600.0
    """From `connected`."""
    duration_warning: float = Field(default=0, ge=0)
    """Both parties hear a tone so many seconds before `max_duration`; 0: none."""
    media_timeout: float = Field(default=30.0, ge=0)
    """A connected call ends when a party sends no RTP for so long though not on hold; 0: never."""
    max_redirects: int = Field(default=3, ge=0, le=10)
    """How many 3xx responses a leg follows, and only to numbers that it may call; 0: none."""
    record_digits: bool = False
    """Keep the digits that the parties send in the call's record: they may be PINs and card numbers."""
    hold: Literal["music", "silence", "network"] = "music"
    """What a party hears while the other one holds; network: whatever the holding party sends."""
    hold_music: Path | None = None
    """A WAV file; none: the one that comes with the project."""
    retention: int = Field(default=30 * 86400, gt=0)
    """How long the record of an ended call can be read."""


class ToneSettings(Section):
    frequencies: tuple[int, ...] = Field(min_length=1, max_length=2)
    """Hz; they sound together."""
    cadence: tuple[int, ...] = Field(min_length=2)
    """On, off, on, off ... in milliseconds."""

    @model_validator(mode="after")
    def cadence_is_paired(self) -> ToneSettings:
        if len(self.cadence) % 2:
            raise ValueError("cadence needs an off time for each on time")
        return self


class RingbackSettings(Section):
    """The tone the caller hears while the callee's phone rings (ITU-T E.180, supplement 2)."""

    country: str = Field(default="auto", pattern=r"^(auto|[A-Z]{2})$")
    """auto: by the callee's country code; else an ISO 3166 code."""
    tone: ToneSettings | None = None
    """A tone of one's own instead of a country's."""


class AnnouncementsSettings(Section):
    folder: Path | None = None
    """Where the prompts are, as WAV files of any rate; none: those that come with the project."""


class QualitySettings(Section):
    interval: Seconds = 5.0
    """Between two looks at each leg's packets, jitter and loss."""


def check_encryption_key(key: SecretStr) -> SecretStr:
    try:
        Fernet(key.get_secret_value())
    except ValueError as error:
        raise ValueError("must be base64url of 32 random bytes") from error
    return key


class PrivacySettings(Section):
    keys: tuple[Annotated[SecretStr, AfterValidator(check_encryption_key)], ...] = ()
    """Sinks' access tokens are kept encrypted with the first; the others still decrypt (Fernet)."""
    audit_retention_days: float = Field(default=365, gt=0)


def check_recording_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    kind = pyrage.x25519.Recipient if text.startswith("age1") else pyrage.x25519.Identity
    try:
        kind.from_str(text)
    except (pyrage.IdentityError, pyrage.RecipientError) as error:
        raise ValueError("must be an AGE-SECRET-KEY-1... or its public age1...") from error
    return key


class RecordingSettings(Section):
    root: Path = Path("var/recordings")
    keys: tuple[Annotated[SecretStr, AfterValidator(check_recording_key)], ...] = ()
    """Stored recordings are encrypted with the first (age, X25519); the others still decrypt."""
    channels: RecordingChannels = "mixed"
    """mixed: mono; dual: stereo, the caller left and the callee right."""
    sample_rate: Literal[8000, 16000] = 8000
    """Samples per second of the stored WAV."""
    large_format: Literal["audio/ogg", "audio/mpeg"] = "audio/ogg"
    """What replaces WAV in the API's JSON when base64 of the WAV would exceed its maxLength."""
    retention_days: float = Field(default=0, ge=0)
    """Recordings older than this are deleted; 0: never."""
    free_space_floor_mb: int = Field(default=500, ge=0)
    """An engine with less room on its disk takes no call that is to be recorded."""


class NotifierSettings(Section):
    allow_insecure_sinks: bool = False
    """Accept http:// sinks, and sinks at any address. For the lab only."""
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    """Where sinks may be beside public addresses, such as the carrier's own network."""
    signing_key: Path = Path("var/sink-key.json")
    """What we sign with at sinks' token endpoints (PRIVATE_KEY_JWT): a JWK, made when absent."""
    timeout: Seconds = 10.0
    concurrency: int = Field(default=256, ge=1)
    concurrency_per_sink: int = Field(default=16, ge=1)
    backoff_initial: Seconds = 1.0
    backoff_max: Seconds = 3600.0
    give_up_after: Seconds = 24 * 3600.0


CdrFormat = Literal["csv", "jsonl"]


class CdrSettings(Section):
    folder: Path | None = None
    """Where the notifiers write the call detail records of each period; none: nowhere."""
    formats: tuple[CdrFormat, ...] = Field(default=("csv", "jsonl"), min_length=1)
    rotation: Literal["hour", "day"] = "day"
    """UTC."""

    @property
    def period(self) -> timedelta:
        """What one file covers."""
        return timedelta(hours=1) if self.rotation == "hour" else timedelta(days=1)


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
    announcements: AnnouncementsSettings = AnnouncementsSettings()
    quality: QualitySettings = QualitySettings()
    privacy: PrivacySettings = PrivacySettings()
    recording: RecordingSettings = RecordingSettings()
    notifier: NotifierSettings = NotifierSettings()
    cdr: CdrSettings = CdrSettings()
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
        for enterprise in self.enterprises:
            for key, sink in (
                ("v1.app_server", enterprise.v1.app_server),
                ("alerts_sink", enterprise.alerts_sink),
            ):
                if (sink or "").startswith("http:") and not self.notifier.allow_insecure_sinks:
                    raise ValueError(f"enterprise {enterprise.id!r}: {key} must be an https URL")
        for client in self.clients:
            if client.enterprise not in (None, *enterprise_ids):
                raise ValueError(f"client {client.id!r} names the unknown enterprise {client.enterprise!r}")
            # With a provider of its own, only the provider knows how a client authenticates.
            if self.auth.embedded_issuer and client.secret is None and client.jwks is None:
                raise ValueError(f"client {client.id!r} has neither `secret` nor `jwks`")
        for what, ids in (("clients", [c.id for c in self.clients]), ("enterprises", enterprise_ids)):
            if len(set(ids)) != len(ids):
                raise ValueError(f"two {what} have the same id")
        return self

    @model_validator(mode="after")
    def records_outlive_their_period(self) -> Settings:
        if self.cdr.folder is not None and self.call.retention < 2 * self.cdr.period.total_seconds():
            raise ValueError(
                f"call.retention must be at least two {self.cdr.rotation}s for cdr.rotation "
                f"{self.cdr.rotation!r}: records that are gone cannot be written to a file"
            )
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

    def enterprise_of(self, client_id: str) -> str | None:
        """The id of the enterprise that a client of the settings acts for."""
        return next((one.enterprise for one in self.clients if one.id == client_id), None)


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
