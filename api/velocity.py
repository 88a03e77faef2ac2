"""How fast calls may follow each other: the limits that count for one wanted call (429)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api.wanted_call import WantedCall
from config import EnterprisePolicy, PolicySettings
from policy.rules import Origin, Party, Refusal, Rule
from state.calls import RateLimit
from state.enterprises import Enterprise

MESSAGES = {
    Rule.MAX_CALLS: "The enterprise has too many live calls.",
    Rule.MAX_CPS: "The enterprise starts calls too fast.",
    Rule.ENTERPRISE_RATE: "The enterprise starts too many calls.",
    Rule.CALLER_RATE: "The caller starts too many calls.",
    Rule.CALLEE_RATE: "Too many calls go to this destination.",
    Rule.DESTINATION_RATE: "Too many calls go to this destination.",
    Rule.REPEAT: "The caller has been connected with this callee a moment ago.",
}


@dataclass(frozen=True, slots=True)
class Velocity:
    limit: RateLimit
    refusal: Refusal


def velocities(platform: PolicySettings, enterprise: Enterprise, wanted: WantedCall) -> tuple[Velocity, ...]:
    """The platform's limits and the enterprise's own; all of them count."""
    return (
        *_of(platform, Origin.PLATFORM, enterprise.id, wanted),
        *_of(enterprise.profile.policy, Origin.ENTERPRISE, enterprise.id, wanted),
    )


def _of(
    policy: EnterprisePolicy, origin: Origin, enterprise_id: str, wanted: WantedCall
) -> Iterator[Velocity]:
    # A number is one of many enterprises' for the platform: its calls count whoever asks for them.
    among = () if origin is Origin.PLATFORM else (enterprise_id,)
    destinations = [rate for rate in policy.destination_rates if wanted.callee.startswith(rate.prefix)]
    for rule, party, rates, subject in (
        (Rule.ENTERPRISE_RATE, None, policy.enterprise_rates, ("enterprise", enterprise_id)),
        (Rule.CALLER_RATE, Party.CALLER, policy.caller_rates, ("caller", *among, wanted.caller)),
        (Rule.CALLEE_RATE, Party.CALLEE, policy.callee_rates, ("callee", *among, wanted.callee)),
    ):
        for rate in rates:
            yield Velocity(RateLimit(subject, rate.calls, rate.seconds), Refusal(rule, origin, party))
    for destination in destinations:
        subject = ("destination", enterprise_id, destination.prefix)
        limit = RateLimit(subject, destination.calls, destination.seconds)
        yield Velocity(limit, Refusal(Rule.DESTINATION_RATE, origin, Party.CALLEE))
    if policy.repeat_after:
        subject = ("pair", enterprise_id, wanted.caller, wanted.callee)
        yield Velocity(RateLimit(subject, 1, policy.repeat_after), Refusal(Rule.REPEAT, origin))
