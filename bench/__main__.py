"""`make bench`: each part measures one thing and writes its figures; status 0 if none found a fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer
from rich.console import Console

from bench import delivery
from bench.report import Report, table

PARTS: dict[str, Callable[[Path, int], Report]] = {"delivery": delivery.measure}
"""By name; each is given a folder of its own and the seed of its random choices."""
SHOWN = 20
"""Faults of a part."""


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(PARTS)}; else all.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random choices.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder for the figures (JSON) and logs.")] = Path("var/bench"),
) -> None:
    chosen = parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        raise typer.BadParameter(f"no part of the bench: {', '.join(sorted(unknown))}")
    console = Console(highlight=False, soft_wrap=True)
    output.mkdir(parents=True, exist_ok=True)
    reports = []
    for name in chosen:
        console.print(f"{name}, seed {seed} ...")
        folder = Path(mkdtemp(prefix=f"{name}-", dir=output)).resolve()
        report = PARTS[name](folder, seed)
        reports.append(report)
        content = {"seed": seed, **report.as_json()}
        (output / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    console.print(table(reports))
    for report in reports:
        for fault in report.faults[:SHOWN]:
            console.print(f"FAULT {report.part}: {fault}")
        if len(report.faults) > SHOWN:
            console.print(f"... and {len(report.faults) - SHOWN} more of {report.part}")
    faults = sum(len(report.faults) for report in reports)
    console.print(f"bench {'FAILED' if faults else 'ok'}: {faults} faults (figures and logs: {output})")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    typer.run(main)
