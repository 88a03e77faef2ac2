"""What the api counts for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from state.delivery_counts import DeliveryOutcome

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ApiMetrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.calls_created = Counter(
            "dialbridge_calls_created", "Calls that POST /calls created", registry=self._registry
        )
        self.calls_refused = Counter(
            "dialbridge_calls_refused",
            "Calls that POST /calls refused, by error code",
            ["code"],
            registry=self._registry,
        )

    def render(self, deliveries: dict[DeliveryOutcome, int] | None, balances: dict[str, int]) -> bytes:
        """Prometheus text format; without `deliveries` while Redis, which counts them, is unreachable.

        `balances`: seconds by enterprise, of pools of minutes.
        """
        text = generate_latest(self._registry)
        if deliveries is None:
            return text
        family = CounterMetricFamily(
            "dialbridge_deliveries",
            "Delivery attempts to sinks by outcome, over all notifiers of this Redis",
            labels=["outcome"],
        )
        for outcome, count in deliveries.items():
            family.add_metric([outcome.value], count)
        pools = GaugeMetricFamily(
            "dialbridge_pool_balance_seconds",
            "What is left in an enterprise's pool of minutes, with what live calls have reserved",
            labels=["enterprise"],
        )
        for enterprise_id, balance in balances.items():
            pools.add_metric([enterprise_id], balance)
        counted = CollectorRegistry()
        counted.register(_Fixed(family, pools))
        return text + generate_latest(counted)


class _Fixed:
    """A collector of figures that were read beforehand."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> tuple[Metric, ...]:
        return self._families
