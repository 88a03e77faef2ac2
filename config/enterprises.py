"""What an administrator provisions for an enterprise: in the settings file, by REST or by command."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    ValidationInfo,
    model_validator,
)

from config.policy import MAX_SECONDS, EnterprisePolicy
from config.section import E164, Country, Section

PromptName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
ENTERPRISE_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
EnterpriseId = Annotated[str, Field(pattern=ENTERPRISE_ID)]
"""It is part of Redis keys and of URLs."""
RecordingChannels = Literal["mixed", "dual"]

MIN_WEBHOOK_SECRET, MAX_WEBHOOK_SECRET = 24, 64
"""Bytes."""
MAX_DAYS = 36_500
MAX_MINUTES = 1_000_000_000
MAX_CALLS_AT_ONCE = 1_000_000
MIN_CPS, MAX_CPS = 0.0001, 10_000.0
"""Within these no date, counter or delay that is made of a setting overflows."""


def secret_context(change: Callable[[str], str]) -> dict[str, Any]:
    """For a `model_dump` that writes secrets as `change` makes them, a `model_validate` that reads such."""
    return {"secret": change}


def _changed(value: object, info: ValidationInfo) -> object:
    return info.context["secret"](value) if info.context and isinstance(value, str) else value


def _written(secret: SecretStr, info: SerializationInfo) -> str:
    return info.context["secret"](secret.get_secret_value()) if info.context else str(secret)


Secret = Annotated[SecretStr, BeforeValidator(_changed), PlainSerializer(_written)]
"""Written as asterisks, but for `secret_context`."""


def check_webhook_secret(secret: SecretStr) -> SecretStr:
    """Standard Webhooks 1.0, "Signature scheme": `whsec_` and base64 of 24 to 64 bytes."""
    prefix, mark, encoded = secret.get_secret_value().partition("whsec_")
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except ValueError:
        size = 0
    if prefix or not mark or not MIN_WEBHOOK_SECRET <= size <= MAX_WEBHOOK_SECRET:
        raise ValueError("must be whsec_ and base64 of 24 to 64 random bytes")
    return secret


WebhookSecret = Annotated[Secret, AfterValidator(check_webhook_secret)]


class AnnouncementSettings(Section):
    """An enterprise's prompts: names of WAV files in `announcements.folder`, without `.wav`."""

    whisper: PromptName | None = None
    """To the caller, before the callee is dialled."""
    connect: PromptName | None = None
    """To both, when the callee has answered, before they hear each other."""
    connect_recorded: bool = True
    """Whether the recording begins with the `connect` prompt or after it."""
    busy: PromptName | None = None
    """To the caller, when the callee is busy or declines."""
    no_answer: PromptName | None = None
    """To the caller, when the callee does not answer."""
    failed: PromptName | None = None
    """To the caller, when the callee cannot be reached."""
    lost: PromptName | None = None
    """To the other party, when one party's audio or its SIP dialog was lost during the call."""

    @property
    def prompts(self) -> frozenset[str]:
        """All prompts named here."""
        names = (self.whisper, self.connect, self.busy, self.no_answer, self.failed, self.lost)
        return frozenset(name for name in names if name is not None)


class V1Settings(Section):
    """What only the older API generation needs to know of an enterprise."""

    app_server: (
        Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=1024)] | None
    ) = None
    """Where the application takes the status notifications of its calls; none: they are not sent."""
    username: Annotated[str, Field(pattern=r"^[^:]+$")] | None = None
    """For HTTP Basic authentication towards the application (RFC 7617)."""
    password: Secret | None = None
    recording: bool = False
    """Whether its calls are recorded: a request cannot say so."""

    @model_validator(mode="after")
    def login_is_whole(self) -> V1Settings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        return self


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Increment = Annotated[Literal[1, 6, 60], BeforeValidator(_number)]
"""As text, too, like any other number: from the environment, a table or a command."""


class PoolSettings(Section):
    """The minutes that an enterprise's members share. Seconds, unless a name says otherwise."""

    minimum: int = Field(default=60, gt=0, le=MAX_SECONDS)
    """No call starts while less than this is free."""
    increment: Increment = 1
    """What is billed of a call is rounded up to a multiple of it."""
    slice: int = Field(default=300, gt=0, le=MAX_SECONDS)
    """Reserved for a call at once; before it has talked that long, its engine reserves another one."""
    monthly_minutes: int | None = Field(default=None, gt=0, le=MAX_MINUTES)
    """Added at the first of each month, UTC."""
    carry_over: bool = False
    """Whether what is left of a month's minutes can be used later."""
    low_water_minutes: int | None = Field(default=None, gt=0, le=MAX_MINUTES)
    """An alarm is raised when the balance falls below it."""

    @model_validator(mode="after")
    def slice_holds_the_minimum(self) -> PoolSettings:
        if self.slice < self.minimum:
            raise ValueError("slice is less than minimum")
        return self


class EnterpriseProfile(Section):
    """All but the enterprise's id, its state and its members."""

    SECRETS: ClassVar[dict[str, bool | set[str]]] = {"webhook_secrets": True, "v1": {"password"}}
    """What can be written but not read, as `model_dump` excludes it."""

    name: str = Field(default="", max_length=200)
    number: E164
    """The number both parties see, unless a call asks for one of `further_numbers`."""
    further_numbers: tuple[E164, ...] = ()
    """That the carrier has assigned to the enterprise too."""
    home_country: Country | None = None
    """Whose national numbers the older API generation takes; none: international ones only."""
    callers: Literal["members", "anyone"] = "members"
    """Who may be a caller: whoever else could is a door for toll fraud."""
    policy: EnterprisePolicy = EnterprisePolicy()
    """Which calls are allowed, of those that `[policy]` allows."""
    recording: Literal["requested", "always", "never"] = "requested"
    recording_channels: RecordingChannels | None = None
    """None: `recording.channels`."""
    retention_days: int | None = Field(default=None, ge=0, le=MAX_DAYS)
    """Of the recordings of its calls from now on; 0: for ever; none: `recording.retention_days`."""
    announcements: AnnouncementSettings = AnnouncementSettings()
    max_calls: int | None = Field(default=None, ge=0, le=MAX_CALLS_AT_ONCE)
    """Live calls at once; none: as many as the engines carry."""
    max_cps: float | None = Field(default=None, ge=MIN_CPS, le=MAX_CPS, allow_inf_nan=False)
    """New calls per second, as many at once; none: no limit."""
    pool: PoolSettings | None = None
    """None: its calls may talk as many minutes as they like."""
    alerts_sink: (
        Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+([/?][^\s#]*)?$", max_length=1024)] | None
    ) = None
    """Where an event goes when its pool runs low; none: nowhere."""
    webhook_secrets: tuple[WebhookSecret, ...] = ()
    """The enterprise's events are signed with each of them (Standard Webhooks); two while one is replaced."""
    v1: V1Settings = V1Settings()

    @model_validator(mode="after")
    def numbers_are_distinct(self) -> EnterpriseProfile:
        if len({self.number, *self.further_numbers}) != 1 + len(self.further_numbers):
            raise ValueError("number and further_numbers name a number twice")
        return self

    @property
    def numbers(self) -> tuple[str, ...]:
        """All that may be shown, the default first."""
        return (self.number, *self.further_numbers)


class EnterpriseSettings(EnterpriseProfile):
    """A `[[enterprises]]` block: applied to the state store when it is new, and when it has changed."""

    id: EnterpriseId
    members: tuple[E164, ...] = ()
    """Numbers that may be callers. They are added; who was added otherwise stays."""

    @property
    def profile(self) -> EnterpriseProfile:
        fields = {name: getattr(self, name) for name in EnterpriseProfile.model_fields}
        return EnterpriseProfile.model_construct(**fields)
