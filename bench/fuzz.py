"""`make fuzz`: Schemathesis against a running lab: every operation of all three OpenAPI documents.

A lab of its own (Redis, engine, api, notifier, SIPp phones) gets requests made from the documents' schemas,
valid ones and such that break them, and sequences of requests along the links (a created call is read, ended,
its recording fetched). No answer may be a 5xx, or differ from its document in status, content type, headers
or schema; what breaks a schema must be refused, no operation may open without its token, and no process may
log an error. The exit status is 0 only then, and if the answers were as various as they must be.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from bench import schemathesis_run
from bench.fuzz_subjects import (
    ADMINISTRATION,
    CAMARA,
    PLATFORM,
    SEEN,
    V1,
    administration,
    calls,
    v1_calls,
)
from bench.log_lines import LogLines
from bench.schemathesis_run import Material, Outcome, Subject
from config.settings import ENV_PREFIX
from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.lab_process import LabAccess, LabProcess
from dialbridge.demo.sink import Sink

ENVIRONMENT = {
    # Calls that nobody ends make room for others: a 503 would hide what else is wrong.
    f"{ENV_PREFIX}CALL__MAX_DURATION": "6",
    f"{ENV_PREFIX}CALL__NO_ANSWER_TIMEOUT": "4",
    f"{ENV_PREFIX}ENGINE__CAPACITY": "1000",
}

MOST_EXAMPLES = 200
"""For each operation and run: so the tool's report stays small."""
CASES_AN_EXAMPLE = 6
"""How many cases come of one, by experience."""
RECORDED_WITHIN = 20.0
"""Seconds until a call of the phone that hangs up after 3 s has its recording."""

STRANGER = "none"
STRANGERS = 3
"""Requests of a stranger to each operation, about."""

SHOWN = 20
"""Faults."""


Turn = tuple[tuple[Subject, Material], ...]


class Fuzz:
    def __init__(self, lab: LabAccess, sink: Sink, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._runs = 0
        self._http = httpx2.Client(base_url=lab.api_root, trust_env=False, timeout=20)
        self._token = self._token_of(lab.client_id, lab.client_secret)
        recorded, unrecorded = self._ended_call(recorded=True), self._ended_call(recorded=False)
        # The administration comes last: it may well suspend the enterprise of the others' calls.
        self._turns: tuple[Turn, ...] = (
            (
                (CAMARA, Material(self._token, calls((recorded, unrecorded), sink.url))),
                (V1, Material(self._token, v1_calls(lab.enterprise_number, recorded))),
                (PLATFORM, Material(self._token)),
            ),
            ((ADMINISTRATION, Material(self._admin_token(), administration())),),
        )

    def run(self, cases: int, seed: int) -> Outcome:
        """Strangers first; then each turn has its share of so many cases."""
        found = Outcome()
        for subject in (CAMARA, V1, ADMINISTRATION):
            found.add(self._stranger(subject, STRANGER, seed))
        found.add(self._stranger(ADMINISTRATION, self._token, seed))
        found.cases = 0
        for turn in self._turns:
            found.add(self._taken(turn, -(-cases // len(self._turns)), seed))
        return found

    def _taken(self, turn: Turn, cases: int, seed: int) -> Outcome:
        """Rounds until there were so many cases."""
        found = Outcome()
        while found.cases < cases and not found.faults:
            examples = max(1, min(MOST_EXAMPLES, (cases - found.cases) // CASES_AN_EXAMPLE))
            for subject, material in turn:
                found.add(self._run(subject, material, examples, seed))
            seed += 1
        return found

    def _stranger(self, subject: Subject, token: str, seed: int) -> Outcome:
        """One whose token opens nothing here."""
        outcome = self._run(replace(subject, phases="fuzzing"), Material(token), STRANGERS, seed)
        opened = [f"{method} {path}" for method, path, status in outcome.answers if status < 400]
        outcome.faults += [f"{operation} opened without its token" for operation in opened]
        return outcome

    def _run(self, subject: Subject, material: Material, examples: int, seed: int) -> Outcome:
        self._runs += 1
        return schemathesis_run.run(
            subject,
            api_root=self._lab.api_root,
            paths=list(self._http.get(subject.document).json()["paths"]),
            material=material,
            examples=examples,
            seed=seed,
            folder=self._folder / f"{self._runs}-{subject.name}",
        )

    def close(self) -> None:
        self._http.close()

    def _admin_token(self) -> str:
        return self._token_of(self._lab.admin_client_id, self._lab.admin_client_secret)

    def _token_of(self, client_id: str, secret: str) -> str:
        form = {"grant_type": "client_credentials"}
        answer = self._http.post(self._lab.token_url, data=form, auth=(client_id, secret))
        return str(answer.raise_for_status().json()["access_token"])

    def _ended_call(self, *, recorded: bool) -> str:
        """Raises DemoFailedError if it does not come to its end."""
        headers = {"Authorization": f"Bearer {self._token}"}
        end = 1 if recorded else 2
        body = {
            "caller": {"number": f"+44770090{end}001"},
            "callee": {"number": f"+44770090{end}021"},
            "recordingEnabled": recorded,
        }
        created = self._http.post(f"{CAMARA.base_path}/calls", json=body, headers=headers).raise_for_status()
        call_id = str(created.json()["callId"])
        deadline = monotonic() + RECORDED_WITHIN
        while monotonic() < deadline:
            call = self._http.get(f"{CAMARA.base_path}/calls/{call_id}", headers=headers).raise_for_status()
            if call.json()["status"] == "disconnected":
                return call_id
            sleep(0.2)
        raise DemoFailedError("the engine", "did not end a call", process="engine")


def missing(outcome: Outcome) -> list[str]:
    return [
        f"{method} {path} never answered {status}"
        for (method, path), statuses in SEEN.items()
        for status in sorted(statuses)
        if not outcome.answers[method, path, status]
    ]


def _shown(outcome: Outcome) -> Table:
    table = Table("operation", "answers")
    operations = sorted({(path, method) for method, path, status in outcome.answers if status != 405})
    for path, method in operations:
        statuses = {s: n for (m, p, s), n in sorted(outcome.answers.items()) if (m, p) == (method, path)}
        table.add_row(f"{method} {path}", ", ".join(f"{n} times {s}" for s, n in statuses.items()))
    return table


def _as_json(outcome: Outcome, seed: int) -> dict[str, Any]:
    return {
        "cases": outcome.cases,
        "seed": seed,
        "answers": {f"{method} {path} {status}": n for (method, path, status), n in outcome.answers.items()},
        "faults": outcome.faults,
        "verdict": "FAILED" if outcome.faults else "ok",
    }


def main(
    *,
    cases: Annotated[int, typer.Option(min=1, help="At least so many.")] = 5000,
    seed: Annotated[int, typer.Option(help="Of Schemathesis's choices.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder for the lab and the tool's reports.")] = Path(
        "var/fuzz"
    ),
    figures: Annotated[Path, typer.Option(help="File for the figures (JSON).")] = Path("var/bench/fuzz.json"),
) -> None:
    console = Console(highlight=False, soft_wrap=True)
    output.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="run-", dir=output))
    lab_process, sink = LabProcess(folder, ENVIRONMENT), Sink()
    try:
        lab = lab_process.wait_ready(sleep)
        console.print(f"at least {cases} cases against {lab.api_root}, seed {seed} ...")
        fuzz = Fuzz(lab, sink, folder)
        outcome = fuzz.run(cases, seed)
        fuzz.close()
        lab_process.stop(sleep)
    except DemoFailedError as error:
        console.print(f"{error.part} {error}", *lab_process.log_tail(error.process), sep="\n")
        console.print("fuzz FAILED: it did not come to its end")
        sys.exit(1)
    finally:
        sink.close()
        with suppress(DemoFailedError):  # it has ended already
            lab_process.stop(sleep)
    outcome.faults = outcome.faults or missing(outcome)
    errors = LogLines.of(lab_process.log).errors
    outcome.faults += [f"{count} times in the log: {error}" for error, count in errors.items()]
    console.print(_shown(outcome))
    figures.parent.mkdir(parents=True, exist_ok=True)
    figures.write_text(json.dumps(_as_json(outcome, seed), indent=1) + "\n")
    for fault in outcome.faults[:SHOWN]:
        console.print(f"FAULT {fault}")
    where = f"(figures: {figures}; reports: {folder})"
    if outcome.faults:
        console.print(f"fuzz FAILED: {len(outcome.faults)} faults {where}")
        sys.exit(1)
    console.print(f"fuzz ok: {outcome.cases} cases {where}")


if __name__ == "__main__":
    typer.run(main)
