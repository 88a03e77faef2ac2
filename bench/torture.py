"""`make torture`: hostile traffic at a steady rate while parties talk, and what they heard of it.

A product of its own (Redis, engine, api, notifier) keeps some calls up, whose phones send and capture RTP.
Meanwhile the engine gets, in rounds, the torture messages of RFC 4475 and RFC 5118; random damage to them;
damaged messages with the Call-IDs and tags of the live dialogs; whole calls whose phones talk nonsense; and
malformed RTP and RTCP at the live media ports. Same seed, same messages. The exit status is 0 only if no
process ended or logged an error, no call was disturbed, and each call has exactly one terminal event, which
says `disconnected`: of the watched ones with `hangUp`, and the engine holds no SIP dialog in the end.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from time import monotonic, sleep
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.log_lines import LogLines
from state.call import CallState, DisconnectionReason
from tests.end_to_end.product import Product
from tests.sip.torture.barrage import (
    bombard,
    damaged_forgeries,
    damaged_messages,
    media_noise,
    sabotage,
    torture_messages,
)
from tests.sip.torture.malformed_media import MediaStranger
from tests.sip.torture.stranger import Stranger
from tests.sip.torture.watched_calls import WatchedCall, watched_call
from tests.support.sip_trunk import SipTrunk

DAMAGED, FORGED, SABOTAGED, MEDIA = 1000, 500, 5, 500
"""Of one round: damaged torture messages, damaged messages of live dialogs, calls, media datagrams."""
ROUND = DAMAGED + FORGED + MEDIA
MEDIA_RATE = 500.0
"""Datagrams per second, to both ports of all legs."""
TERMINAL = ("disconnected", "failed")
DIALOGS_WITHIN = 100.0
"""Seconds: more than a BYE that nobody answers and one that came too late, 32 s each (RFC 3261, 17.1.2.2)."""
COMPLAINT = "engine: pjsip"
"""What PJSIP logs of a message that it cannot read: no error of ours."""


@dataclass(slots=True)
class Findings:
    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    watched: float = 0.0
    """Seconds, of all parties together."""
    heard: float = 0.0
    worst_gap: float = 0.0
    strange: float = 0.0
    came_to_strangers: int = 0
    call_ids: list[str] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    dialogs_left: int = 0
    faults: list[str] = field(default_factory=list)


class Torture:
    def __init__(self, product: Product, trunk: SipTrunk, calls: list[WatchedCall], random: Random) -> None:
        self._product = product
        self._trunk = trunk
        self._calls = calls
        self._random = random
        self.findings = Findings()

    def run(self, rounds: int, rate: float) -> None:
        """Stops at the first fault of a process: what comes after it says nothing more."""
        found = self.findings
        with Stranger(self._product.engine_sip_port()) as stranger, MediaStranger() as media:
            found.sent["torture messages as they are"] += bombard(stranger, torture_messages(), rate)
            for _ in range(rounds):
                self._round(stranger, media, rate)
                if found.faults:
                    break
            found.answers = stranger.answers()
            found.came_to_strangers = media.received()
        if found.came_to_strangers:
            found.faults.append(f"{found.came_to_strangers} packets of the parties' media came to a stranger")

    def _round(self, stranger: Stranger, media: MediaStranger, rate: float) -> None:
        found, random = self.findings, self._random
        for call in self._calls:
            call.watch()
        try:
            found.sent["damaged torture messages"] += bombard(
                stranger, damaged_messages(random, DAMAGED), rate
            )
            forged = damaged_forgeries(random, stranger, self._calls, FORGED)
            found.sent["damaged messages of live dialogs"] += bombard(stranger, forged, rate)
            before = stranger.sent
            found.call_ids += sabotage(self._product, self._trunk, stranger, random, SABOTAGED)
            found.sent["damaged messages of a phone"] += stranger.sent - before
            found.sent["RTP and RTCP datagrams"] += media_noise(random, media, self._calls, MEDIA, MEDIA_RATE)
        except AssertionError as error:
            found.faults.append(str(error))
        self._judge()

    def _judge(self) -> None:
        found = self.findings
        for process in self._product.processes:
            if process.exit_status() is not None:
                found.faults.append(f"the {process.name} ended: {process.exit_status()}")
        for call in self._calls:
            found.faults += call.faults()
            for hearing in call.hearings():
                found.watched += hearing.watched
                found.heard += hearing.heard
                found.worst_gap = max(found.worst_gap, hearing.gap)
                found.strange = max(found.strange, hearing.strange)

    def end(self) -> None:
        """End the watched calls, and look at what is left."""
        found, product = self.findings, self._product
        watched = {call.talk.call_id for call in self._calls}
        for call in self._calls:
            call.talk.end()
        found.dialogs_left = product.wait_idle(timeout=60).dialogs
        deadline = monotonic() + DIALOGS_WITHIN
        while found.dialogs_left and monotonic() < deadline:
            sleep(0.5)
            found.dialogs_left = product.engine_status().dialogs
        if found.dialogs_left:
            found.faults.append(f"{found.dialogs_left} dialogs left")
        for call_id in [*found.call_ids, *watched]:
            ended = product.wait_ended(call_id)
            outcome = f"{ended.state} {ended.reason or ''}".strip()
            found.endings[outcome] += 1
            states = product.event_states(call_id)
            if sum(state in TERMINAL for state in states) != 1:
                found.faults.append(f"call {call_id}: {states}")
            is_fine = ended.state is CallState.DISCONNECTED
            if call_id in watched:
                is_fine = ended.reason is DisconnectionReason.HANG_UP
            if not is_fine:
                found.faults.append(f"call {call_id} ended as {outcome}")

    def look_at_logs(self) -> None:
        errors = LogLines.of(*(process.log for process in self._product.processes)).errors
        self.findings.faults += [
            f"{count} times in the logs: {error}"
            for error, count in errors.items()
            if not error.startswith(COMPLAINT)
        ]


def report(found: Findings) -> Table:
    table = Table(show_header=False)
    for kind, count in found.sent.items():
        table.add_row(kind, f"{count}")
    answers = ", ".join(f"{status} {count}" for status, count in sorted(found.answers.items()))
    table.add_row("answered", f"{found.answers.total()}: {answers}")
    table.add_row("the parties heard", f"{found.heard:.1f} of {found.watched:.1f} s of each other")
    table.add_row("longest gap", f"{found.worst_gap:.2f} s; anything else {found.strange:.2f} s")
    endings = ", ".join(f"{reason} {count}" for reason, count in found.endings.most_common())
    table.add_row("calls", f"{found.endings.total()}, each with one end: {endings}")
    table.add_row("dialogs left", f"{found.dialogs_left}")
    return table


def main(
    messages: Annotated[int, typer.Option(min=ROUND, help="How many messages, about.")] = 50_000,
    rate: Annotated[float, typer.Option(min=1.0, help="SIP messages per second.")] = 1000.0,
    calls: Annotated[int, typer.Option(min=1, help="Calls to keep up meanwhile.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the random choices.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder for the processes' logs.")] = Path("var/torture"),
) -> None:
    console = Console(highlight=False, soft_wrap=True)
    output.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="run-", dir=output)).absolute()
    rounds = messages // ROUND
    console.print(f"{rounds} rounds of {ROUND} messages at {calls} calls, seed {seed} ...")
    with SipTrunk() as trunk, Product(folder, trunk_port=trunk.port) as product, ExitStack() as talking:
        watched = [talking.enter_context(watched_call(product, trunk)) for _ in range(calls)]
        torture = Torture(product, trunk, watched, Random(seed))
        torture.run(rounds, rate)
        if not torture.findings.faults:
            torture.end()
    torture.look_at_logs()
    found = torture.findings
    console.print(report(found))
    for fault in found.faults[:20]:
        console.print(f"FAULT {fault}")
    verdict = "FAILED" if found.faults else "ok"
    console.print(f"torture {verdict}: {len(found.faults)} faults (logs: {folder})")
    sys.exit(1 if found.faults else 0)


if __name__ == "__main__":
    typer.run(main)
