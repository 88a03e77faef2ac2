"""Which calls are allowed: what the platform says for all, and what an enterprise's profile adds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from config.section import E164, Country, Section

Prefix = Annotated[str, Field(pattern=r"^\+([1-9][0-9]{0,14})?$")]
"""The beginning of E.164 numbers; "+" is that of all of them."""

MAX_CALLS, MAX_SECONDS = 100_000, 31 * 86400
"""Each call that a limit counts is kept for so long."""


class NumberClass(StrEnum):
    """Kinds of numbers that cost more than an ordinary call, or pay somebody for being called."""

    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    PERSONAL = "personal"
    """UK 070, UPT (+878): they look like mobile numbers and pay like premium-rate ones."""
    UNIVERSAL_ACCESS = "universal_access"
    SATELLITE = "satellite"
    INTERNATIONAL_NETWORK = "international_network"
    """Country codes of networks and groups of countries: +882, +883, +888."""
    EMERGENCY = "emergency"
    UNASSIGNED = "unassigned"
    """Its country code belongs to nobody."""


class Rate(Section):
    """At most so many calls in any period of so many seconds."""

    calls: int = Field(ge=1, le=MAX_CALLS)
    seconds: int = Field(ge=1, le=MAX_SECONDS)


class DestinationRate(Rate):
    prefix: Prefix
    """Of the callees that are counted together."""


class EnterprisePolicy(Section):
    """Rules that a call has to pass; each can only refuse, so none loosens another."""

    blacklist: frozenset[E164] = frozenset()
    """Numbers that may neither be caller nor callee."""
    allow: frozenset[Prefix] = frozenset()
    """Exceptions from `deny`: of the prefixes that fit a number, the longest decides."""
    deny: frozenset[Prefix] = frozenset()
    countries: frozenset[Country] = frozenset()
    """Those whose numbers may be caller or callee; empty: all."""
    classes: frozenset[NumberClass] | None = None
    """That may be caller or callee; None: as `[policy]` says for all."""
    require_valid: bool = False
    """Whether a number must be one that its country's numbering plan has (libphonenumber)."""
    enterprise_rates: tuple[Rate, ...] = ()
    """Of all calls of an enterprise."""
    caller_rates: tuple[Rate, ...] = ()
    """Of calls from the same number: by any enterprise if the platform says so, else by this one."""
    callee_rates: tuple[Rate, ...] = ()
    """Of calls to the same number: by any enterprise if the platform says so, else by this one."""
    destination_rates: tuple[DestinationRate, ...] = ()
    """Of an enterprise's calls to numbers that begin alike."""
    repeat_after: int = Field(default=0, ge=0, le=MAX_SECONDS)
    """Seconds from a call until its enterprise may ask for one from the same to the same number; 0: none."""

    @model_validator(mode="after")
    def prefixes_agree(self) -> EnterprisePolicy:
        if both := self.allow & self.deny:
            raise ValueError(f"allow and deny both name {', '.join(sorted(both))}")
        return self


class PolicySettings(EnterprisePolicy):
    """Of the platform, for every enterprise."""

    classes: frozenset[NumberClass] = frozenset({NumberClass.UNIVERSAL_ACCESS})
    grantable_classes: frozenset[NumberClass] = frozenset()
    """That may be called by those enterprises only whose own `classes` name them."""
    no_recording: frozenset[E164] = frozenset()
    """Numbers whose calls may not be recorded."""
