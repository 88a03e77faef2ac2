"""What the demonstration shows: colours and a moving status line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from datetime import datetime

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from dialbridge.demo.ladder import ASCII, UNICODE, Ladder
from dialbridge.demo.sink import ReceivedEvent
from state.sip_trace import SipMessage

TICK = 0.1


class Display:
    def __init__(self) -> None:
        self._out = Console(highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._ladder: Ladder | None = None

    def working(self, what: str) -> None:
        """Say what is going on now, with a spinner in a terminal."""
        self.idle_line()
        if self._out.is_terminal:
            self._status = self._out.status(f"{what} …", spinner="dots")
            self._status.start()
        else:
            self._print(f"{what} ...")

    def progress(self, what: str, done: float, whole: float) -> None:
        """Replace the status line by a bar; `done` of `whole` seconds. Only in a terminal."""
        if self._status is not None:
            cells = round(20 * min(done / whole, 1.0))
            self._status.update(f"{what} {'━' * cells}{'╌' * (20 - cells)} {done:.1f} of {whole:.0f} s")

    def idle_line(self) -> None:
        """Take the status line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def fact(self, text: str) -> None:
        self._print(text)

    def start_ladder(self, origin: datetime) -> None:
        utf8 = self._out.encoding.lower().startswith("utf")
        self._ladder = Ladder(origin, UNICODE if utf8 else ASCII)
        self._print("")
        self._print(self._ladder.heading(), "bold")

    def steps(self, messages: list[SipMessage], events: list[ReceivedEvent]) -> None:
        """Show what is new, in the order of its time."""
        if self._ladder is None:
            return
        rows = [(m.at, self._ladder.message(m), _colour(m)) for m in messages]
        rows += [(e.at, self._ladder.event(e.at, _event_text(e)), "cyan") for e in events]
        for _, row, style in sorted(rows, key=lambda row: row[0]):
            self._print(row, style)

    def summary(self, rows: dict[str, str], last_line: str) -> None:
        self.idle_line()
        table = Table(show_header=False, title="One call, from REST to recording", title_justify="left")
        for name, value in rows.items():
            table.add_row(name, Text(value, overflow="fold"))
        self._out.print()
        self._out.print(table, soft_wrap=False)
        # Read by programs: never coloured, never wrapped.
        print(last_line, flush=True)

    def failure(self, sentence: str, log: list[str]) -> None:
        self.idle_line()
        for line in log:
            self._errors.print(Text(line, style="dim"))
        self._errors.print(Text(f"demo failed: {sentence}", style="bold red"))

    def _print(self, line: str, style: str = "") -> None:
        self._out.print(Text(line, style=style, no_wrap=True, overflow="ignore"))

    @staticmethod
    def idle(seconds: float = TICK) -> None:
        time.sleep(seconds)


def _colour(message: SipMessage) -> str:
    start = message.start_line
    if not start.startswith("SIP/2.0"):
        return "yellow" if start.startswith(("BYE", "CANCEL")) else ""
    return {"1": "dim", "2": "green"}.get(start[8:9], "red")


def _event_text(event: ReceivedEvent) -> str:
    status = event.data.get("status")
    reason = status.get("reason") if isinstance(status, dict) else None
    details = [str(value) for value in (reason, event.data.get("recordingResult")) if value]
    return " ".join([event.state, *(f"({detail})" for detail in details)])
