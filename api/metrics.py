"""What is counted for Prometheus: some of it by this process, some in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from state.delivery_counts import DeliveryOutcome
from state.refusal_counts import Refused

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted in Redis, by all processes."""

    deliveries: dict[DeliveryOutcome, int]
    refusals: dict[Refused, int]
    balances: dict[str, int]
    """Seconds in pools of minutes, by enterprise."""


class ApiMetrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.calls_created = Counter(
            "dialbridge_calls_created", "Calls that were created", registry=self._registry
        )
        self.calls_refused = Counter(
            "dialbridge_calls_refused",
            "Calls that were refused, by error code",
            ["code"],
            registry=self._registry,
        )

    def render(self, counted: Counted | None) -> bytes:
        """Prometheus text format; without what Redis has `counted` while that is unreachable."""
        text = generate_latest(self._registry)
        if counted is None:
            return text
        registry = CollectorRegistry()
        families = _deliveries(counted.deliveries), _refusals(counted.refusals), _balances(counted.balances)
        registry.register(_Fixed(*families))
        return text + generate_latest(registry)


def _deliveries(counts: dict[DeliveryOutcome, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "dialbridge_deliveries",
        "Delivery attempts to sinks by outcome, over all notifiers of this Redis",
        labels=["outcome"],
    )
    for outcome, count in counts.items():
        family.add_metric([outcome.value], count)
    return family


def _refusals(counts: dict[Refused, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(
        "dialbridge_policy_refusals",
        "Calls and redirections that policy refused, by the rule and whose it is, over all of this Redis",
        labels=["what", "rule", "origin"],
    )
    for refused, count in counts.items():
        family.add_metric([refused.what, refused.rule, refused.origin], count)
    return family


def _balances(balances: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "dialbridge_pool_balance_seconds",
        "What is left in an enterprise's pool of minutes, with what live calls have reserved",
        labels=["enterprise"],
    )
    for enterprise_id, balance in balances.items():
        family.add_metric([enterprise_id], balance)
    return family


class _Fixed:
    """A collector of figures that were read beforehand."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> tuple[Metric, ...]:
        return self._families
