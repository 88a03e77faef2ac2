"""What a part of `make bench` found: figures with the limit beside them, counts, and what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    unit: str
    limit: float | None = None
    """The same, measured in the same run, for the least that would do."""
    target: float | None = None
    """What the value has to stay under."""

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None

    @property
    def is_missed(self) -> bool:
        return self.target is not None and self.value >= self.target


@dataclass(slots=True)
class Report:
    part: str
    figures: list[Figure] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "verdict": "FAILED" if self.faults else "ok",
            "figures": [asdict(figure) | {"ratio": figure.ratio} for figure in self.figures],
            "counts": self.counts,
            "faults": self.faults,
        }


def table(reports: Sequence[Report]) -> Table:
    shown = Table("part", "figure")
    for column in ("measured", "target", "limit", "ratio"):
        shown.add_column(column, justify="right")
    for report in reports:
        for figure in report.figures:
            shown.add_row(
                report.part,
                figure.name,
                f"{figure.value:.2f} {figure.unit}",
                "" if figure.target is None else f"{figure.target:g} {figure.unit}",
                "" if figure.limit is None else f"{figure.limit:.2f} {figure.unit}",
                "" if figure.ratio is None else f"{figure.ratio:.1f}",
            )
        for name, count in report.counts.items():
            shown.add_row(report.part, name, f"{count}", "", "", "")
        shown.add_section()
    return shown


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent do not exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]
