"""`make fuzz`: Schemathesis against a running lab: every operation of both OpenAPI documents.

A lab of its own (Redis, engine, api, notifier, SIPp phones) gets requests made from the documents' schemas,
valid ones and such that break them, and sequences of requests along the links (a created call is read, ended,
its recording fetched). No answer may be a 5xx, or differ from its document in status, content type, headers
or schema; what breaks a schema must be refused, no CAMARA operation may open without its token, and no
process may log an error. The exit status is 0 only then, and if the answers were as various as they must be.
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
from bench.log_lines import LogLines
from bench.schemathesis_run import Material, Outcome
from config.settings import ENV_PREFIX
from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.lab_process import LabAccess, LabProcess
from dialbridge.demo.sink import Sink
from dialbridge.lab_settings import BLACKLISTED, NOT_RECORDED

CAMARA = "/click-to-dial/v0.2"
DOCUMENTS = {"/openapi.json": CAMARA, "/openapi-platform.json": ""}
"""Each with the base path of its paths."""

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
PHONES = ("00", "01", "10", "11", "20", "21")
RECORDED_WITHIN = 20.0
"""Seconds until a call of the phone that hangs up after 3 s has its recording."""

SEEN: dict[tuple[str, str], set[int]] = {
    ("POST", "/calls"): {201, 400, 409, 415, 422},
    ("GET", "/calls/{callId}"): {200, 400, 401, 404},
    ("DELETE", "/calls/{callId}"): {204, 400, 401, 404, 409},
    ("GET", "/calls/{callId}/recording"): {200, 400, 401, 404},
}
"""Without these the run says little."""

STRANGER = "none"

SHOWN = 20
"""Faults."""


class Fuzz:
    def __init__(self, lab: LabAccess, sink: Sink, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._http = httpx2.Client(base_url=lab.api_root, trust_env=False, timeout=20)
        self._token = self._new_token()
        recorded = self._ended_call(recorded=True)
        unrecorded = self._ended_call(recorded=False)
        self._material = Material(
            token=self._token,
            calls=(recorded, unrecorded),
            sinks=(sink.url,),
            numbers=(*(f"+4477009000{phone}" for phone in PHONES), BLACKLISTED, NOT_RECORDED),
        )

    def run(self, cases: int, seed: int) -> Outcome:
        """A stranger first; then rounds over both documents until there were so many cases."""
        stranger = self._run("/openapi.json", replace(self._material, token=STRANGER), 1, seed, "stranger")
        opened = [f"{method} {path}" for method, path, status in stranger.answers if status < 400]
        stranger.faults += [f"{operation} opened without a token" for operation in opened]
        found = Outcome(0, stranger.faults, stranger.answers)
        turn = 0
        while found.cases < cases and not found.faults:
            examples = max(1, min(MOST_EXAMPLES, (cases - found.cases) // CASES_AN_EXAMPLE))
            for document in DOCUMENTS:
                found.add(self._run(document, self._material, examples, seed + turn, str(turn)))
            turn += 1
        return found

    def _run(self, document: str, material: Material, examples: int, seed: int, name: str) -> Outcome:
        return schemathesis_run.run(
            self._lab.api_root + document,
            base_url=self._lab.api_root + DOCUMENTS[document],
            paths=list(self._http.get(document).json()["paths"]),
            material=material,
            examples=examples,
            seed=seed,
            folder=self._folder / f"{Path(document).stem}-{name}",
        )

    def close(self) -> None:
        self._http.close()

    def _new_token(self) -> str:
        answer = self._http.post(
            self._lab.token_url,
            data={"grant_type": "client_credentials"},
            auth=(self._lab.client_id, self._lab.client_secret),
        )
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
        created = self._http.post(f"{CAMARA}/calls", json=body, headers=headers).raise_for_status()
        call_id = str(created.json()["callId"])
        deadline = monotonic() + RECORDED_WITHIN
        while monotonic() < deadline:
            call = self._http.get(f"{CAMARA}/calls/{call_id}", headers=headers).raise_for_status().json()
            if call["status"] == "disconnected":
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
