"""The rules that a number has to pass, and what is said of a call that does not pass one."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from config import EnterprisePolicy, NumberClass, PolicySettings
from policy.numbering import numbering_of

E164 = re.compile(r"\+[1-9][0-9]{4,14}")
"""CAMARA_common.yaml, PhoneNumber. libphonenumber would refuse the specifications' own examples."""


class Rule(StrEnum):
    """All that can refuse a call because of policy; logs and metrics name it so."""

    E164 = "e164"
    NUMBERING_PLAN = "numbering_plan"
    SAME_NUMBER = "same_number"
    BLACKLIST = "blacklist"
    PREFIX = "prefix"
    NUMBER_CLASS = "number_class"
    COUNTRY = "country"
    MEMBERS = "members"
    RECORDING = "recording"
    MAX_CALLS = "max_calls"
    MAX_CPS = "max_cps"
    ENTERPRISE_RATE = "enterprise_rate"
    CALLER_RATE = "caller_rate"
    CALLEE_RATE = "callee_rate"
    DESTINATION_RATE = "destination_rate"
    REPEAT = "repeat"


class Party(StrEnum):
    CALLER = "caller"
    CALLEE = "callee"


class Origin(StrEnum):
    """Whose rule it is."""

    PLATFORM = "platform"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class Refusal:
    rule: Rule
    origin: Origin = Origin.PLATFORM
    party: Party | None = None
    """Whose number it was; None: the call as a whole."""


@dataclass(frozen=True, slots=True)
class NumberRules:
    """What `[policy]` and an enterprise's own policy say of a single number.

    Each rule of both has to be passed: an enterprise's only refuses more, but for the classes that the
    platform lets it have.
    """

    platform: PolicySettings
    enterprise: EnterprisePolicy

    @property
    def classes(self) -> frozenset[NumberClass]:
        """That may be called."""
        own = self.enterprise.classes
        if own is None:
            return self.platform.classes
        return own & (self.platform.classes | self.platform.grantable_classes)

    def check(self, number: str, party: Party) -> Refusal | None:
        """The first rule that refuses a number; one of `E164` refuses whatever the numbering plan says."""
        if E164.fullmatch(number) is None:
            return Refusal(Rule.E164, party=party)
        numbering = numbering_of(number)
        sides: tuple[tuple[Origin, EnterprisePolicy], ...] = (
            (Origin.PLATFORM, self.platform),
            (Origin.ENTERPRISE, self.enterprise),
        )
        for origin, policy in sides:
            if policy.require_valid and not numbering.is_valid:
                return Refusal(Rule.NUMBERING_PLAN, origin, party)
        for origin, policy in sides:
            if number in policy.blacklist:
                return Refusal(Rule.BLACKLIST, origin, party)
            if longest_prefix(number, policy.deny) > longest_prefix(number, policy.allow):
                return Refusal(Rule.PREFIX, origin, party)
            if policy.countries and numbering.country not in policy.countries:
                return Refusal(Rule.COUNTRY, origin, party)
        if numbering.number_class is not None and numbering.number_class not in self.classes:
            within = numbering.number_class in self.platform.classes
            return Refusal(Rule.NUMBER_CLASS, Origin.ENTERPRISE if within else Origin.PLATFORM, party)
        return None


def longest_prefix(number: str, prefixes: Collection[str]) -> int:
    """The length of the longest of `prefixes` that `number` begins with; 0: none."""
    return next((size for size in range(len(number), 0, -1) if number[:size] in prefixes), 0)
