"""SIPp playing a scenario as the network's side, and what it sent and received."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from dialbridge.child import Child, ChildSpec, describe_exit
from dialbridge.phones import complaints
from dialbridge.ports import HOST, free_media_port, free_udp, is_bound_udp
from tests.support import evidence
from tests.support.sip_client import SipText
from tests.support.waiting import wait_until

SCENARIOS = Path(__file__).resolve().parents[2] / "sipp-scenarios"
_ENTRY = re.compile(
    r"^-{20,} (\d{4}-\d\d-\d\d)[ \t](\d\d:\d\d:\d\d\.\d+).*?\n"
    r"UDP message (sent|received) [\[(]\d+[\])]? ?bytes\)? ?:\n\n",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """One message as SIPp traced it; local time without a zone."""

    at: datetime
    sent: bool
    message: SipText

    @property
    def call_id(self) -> str:
        return self.message.header("Call-ID")


class SippServer:
    """Runs until the `with` block ends. `directory` gets its traces; `keys` are the scenario's [keywords]."""

    def __init__(
        self,
        scenario: Path,
        directory: Path,
        keys: Mapping[str, str] | None = None,
        *,
        options: Sequence[str] = (),
        port: int | None = None,
    ) -> None:
        """`port`: its SIP port, which must be free; none: any."""
        free, control = free_udp(2)
        self.port = free if port is None else port
        self.media_port = free_media_port()
        directory.mkdir(parents=True, exist_ok=True)
        self._messages = directory / f"{scenario.stem}-{self.port}-messages.log"
        self._errors = directory / f"{scenario.stem}-{self.port}-errors.log"
        self._output = directory / f"{scenario.stem}-{self.port}-output.log"
        self._name = f"sipp {scenario.stem} at {self.port}"
        command = [
            *("sipp", "-sf", str(scenario), "-nostdin", "-aa", "-skip_rlimit", "-watchdog_interval", "0"),
            *("-i", HOST, "-bind_local", "-p", str(self.port), "-ci", HOST, "-cp", str(control)),
            *("-mi", HOST, "-mp", str(self.media_port), "-buff_size", "4000000"),
            *("-trace_msg", "-message_file", str(self._messages)),
            *("-trace_err", "-error_file", str(self._errors)),
            *options,
        ]
        for key, value in (keys or {}).items():
            command += ["-key", key, value]
        self._spec = ChildSpec(self._name, tuple(command), directory=directory, output=self._output)
        self._child: Child | None = None

    def __enter__(self) -> SippServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Until it listens; raises AssertionError with its own words if it does not."""
        self._child = child = Child(self._spec)
        evidence.offer(self._name, self.errors)
        try:
            wait_until(lambda: is_bound_udp(self.port) or child.exit_status() is not None)
            assert child.exit_status() is None, f"{self.ended()}: {self.errors()}"
        except AssertionError:
            self.stop()
            raise

    def stop(self) -> None:
        """By its own process id, in order if it can."""
        evidence.withdraw(self._name)
        if self._child is None:
            return
        if self._child.exit_status() is None:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.process.wait(5)
        self._child.sweep()

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return None if self._child is None else self._child.exit_status()

    def ended(self) -> str:
        """How it ended, in words."""
        status = self.exit_status
        return f"{self._name} runs" if status is None else f"{self._name}: {describe_exit(status)}"

    def errors(self) -> str:
        """What SIPp complained of: unexpected messages, aborted calls, and its last words."""
        last = evidence.tail(self._output, 5) if self.exit_status is not None else ""
        return f"{complaints(self._errors, at_most=30)}\n{last}".strip()

    def messages(self, *, dialled: str | None = None) -> list[TracedMessage]:
        """All messages so far, in order; `dialled`: only those of calls to this user part."""
        content = self._messages.read_bytes().decode() if self._messages.exists() else ""
        entries = list(_ENTRY.finditer(content))
        ends = [entry.start() for entry in entries[1:]] + [len(content)]
        traced = [
            TracedMessage(
                datetime.fromisoformat(f"{entry[1]} {entry[2]}"),
                entry[3] == "sent",
                # SIPp ends each entry with one line feed of its own.
                SipText(content[entry.end() : end].removesuffix("\n")),
            )
            for entry, end in zip(entries, ends, strict=True)
        ]
        if dialled is None:
            return traced
        calls = {t.call_id for t in traced if t.message.start_line.startswith(f"INVITE sip:{dialled}@")}
        return [t for t in traced if t.call_id in calls]
