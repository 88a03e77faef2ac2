"""The demonstration's course: lab, token, call, talk, DELETE, recording, proof."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from tempfile import mkdtemp
from types import FrameType

from dialbridge.demo.checks import STATES, check_events, check_ladder, has_ended
from dialbridge.demo.display import Display
from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.lab_process import LabAccess, LabProcess
from dialbridge.demo.rest_client import RestClient
from dialbridge.demo.sink import ReceivedEvent, Sink
from dialbridge.demo.sound import check_length, check_tones, read_wav
from dialbridge.demo.trace import TraceReader

CALLER = "+447700900002"
CALLEE = "+447700900001"
TONES = (440, 1000)
"""What the caller's and the callee's phone play, in Hz."""
TALK = 5.0
CONNECT_WITHIN = 20.0
END_WITHIN = 15.0
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Demo:
    def __init__(self, lab_process: LabProcess, lab: LabAccess, display: Display, stack: ExitStack) -> None:
        self._lab_process = lab_process
        self._lab = lab
        self._display = display
        self._rest = RestClient(lab)
        stack.callback(self._rest.close)
        self._sink = Sink()
        stack.callback(self._sink.close)
        self._trace = TraceReader(lab)
        stack.callback(self._trace.close)
        self._sink_token = token_urlsafe(24)
        self._events: list[ReceivedEvent] = []
        self._call_id = ""

    def run(self, output: Path) -> tuple[str, Path, dict[str, str]]:
        """The call's id, where its recording is, and what the summary tells; raises DemoFailedError."""
        show = self._display
        self._rest.authenticate()
        show.fact(f"token for the client {self._lab.client_id} (client_credentials)")
        began = datetime.now(UTC)
        call_id = self._call_id = self._rest.create_call(
            CALLER, CALLEE, sink=self._sink.url, sink_token=self._sink_token
        )
        show.fact(f"POST /calls: {call_id}, {CALLER} to {CALLEE}, shown {self._lab.enterprise_number}")
        show.start_ladder(began)
        show.working("dialling both parties")
        self._watch(lambda: "connected" in self._states(), CONNECT_WITHIN, "the call was not connected")
        if (state := self._rest.call_state(call_id)) != "connected":
            raise DemoFailedError("the REST API", f"says {state} of a connected call", process="api")
        self._talk()
        show.working("DELETE /calls/{callId}: ending the call")
        self._rest.delete_call(call_id)
        if (state := self._rest.call_state(call_id)) != "disconnected":
            raise DemoFailedError("the REST API", f"says {state} of a deleted call", process="api")
        self._watch(
            lambda: "disconnected" in self._states() and has_ended(self._trace.messages),
            END_WITHIN,
            "the call did not end on both legs and at the sink",
        )
        show.idle_line()
        self._check_steps()
        return call_id, *self._recording(output)

    def _talk(self) -> None:
        show, began = self._display, time.monotonic()
        show.working("both parties talk")
        while (gone := time.monotonic() - began) < TALK:
            show.progress("both parties talk", gone, TALK)
            self._look()
            if "disconnected" in self._states():
                raise DemoFailedError("the call", "ended before it was deleted", process="engine")
        show.idle_line()

    def _watch(self, reached: Callable[[], bool], within: float, otherwise: str) -> None:
        deadline = time.monotonic() + within
        while not reached():
            if time.monotonic() > deadline:
                seen = ", ".join(self._states()) or "none"
                raise DemoFailedError("the call", f"{otherwise} within {within:.0f} s (events: {seen})")
            self._look()
            if "failed" in self._states() or (
                "disconnected" in self._states() and "connected" not in self._states()
            ):
                raise DemoFailedError("the call", f"went {' > '.join(self._states())}", process="engine")

    def _look(self) -> None:
        """Show what is new, and wait a moment."""
        self._lab_process.check()
        events = self._sink.new_events()
        self._events += events
        self._display.steps(self._trace.new_messages(self._call_id), events)
        self._display.idle()

    def _states(self) -> list[str]:
        return [event.state for event in self._events]

    def _check_steps(self) -> None:
        check_ladder(
            self._trace.messages,
            caller=CALLER,
            callee=CALLEE,
            enterprise_number=self._lab.enterprise_number,
        )
        check_events(
            self._events, call_id=self._call_id, caller=CALLER, callee=CALLEE, sink_token=self._sink_token
        )

    def _recording(self, output: Path) -> tuple[Path, dict[str, str]]:
        from dialbridge.demo.picture import draw  # noqa: PLC0415 - matplotlib takes a second to load

        show = self._display
        show.working("fetching the recording and looking at its spectrum")
        content = self._rest.recording(self._call_id)
        wav, png = output / f"{self._call_id}.wav", output / f"{self._call_id}.png"
        wav.write_bytes(content)
        recording = read_wav(content)
        connected = self._connected_seconds()
        check_length(recording, connected)
        tones = check_tones(recording, TONES)
        draw(recording, png, f"{CALLER} and {CALLEE}", TONES)
        show.idle_line()
        levels = ", ".join(f"{f} Hz {level:.1f} dB" for f, level in tones.levels.items())
        return wav, {
            "call": self._call_id,
            "SIP messages": f"{len(self._trace.messages)} on two legs",
            "shown to both": self._lab.enterprise_number,
            "events at the sink": ", ".join(STATES),
            "connected": f"{connected:.2f} s, {recording.seconds:.2f} s recorded",
            "in its spectrum": f"{levels}, floor {tones.floor:.1f} dB",
            "recording": str(wav),
            "picture": str(png),
        }

    def _connected_seconds(self) -> float:
        times = {e.state: datetime.fromisoformat(str(e.data["timestamp"])) for e in self._events}
        return (times["disconnected"] - times["connected"]).total_seconds()


def main(output: Path) -> int:
    """Run it; what it keeps goes to `output`. The exit status: 0 only if everything was proved."""
    display = Display()
    output.mkdir(parents=True, exist_ok=True)
    var = Path(mkdtemp(prefix="run-", dir=output))
    for ending in ENDINGS:
        signal.signal(ending, _interrupt)
    lab_process = LabProcess(var)
    try:
        with ExitStack() as stack:
            display.working("starting a lab: Redis, engine, api, notifier and phones")
            lab = lab_process.wait_ready(display.idle)
            display.idle_line()
            display.fact(f"lab at {lab.api_root}")
            call_id, wav, summary = Demo(lab_process, lab, display, stack).run(output)
        display.working("stopping the lab")
        lab_process.stop(display.idle)
    except DemoFailedError as error:
        log = lab_process.log_tail(error.process)
        display.failure(f"{error.part}: {error} (everything the lab said: {lab_process.log})", log)
        return 1
    except KeyboardInterrupt:
        display.failure("interrupted", [])
        return 130
    finally:
        _end(lab_process, display)
    shutil.rmtree(var)
    display.summary(summary, f"demo ok call={call_id} recording={wav}")
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """The first signal ends the course; what follows it must not disturb the stopping."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end(lab_process: LabProcess, display: Display) -> None:
    """Whatever happened: the lab ends, in order if it can."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    display.idle_line()
    try:
        lab_process.stop(display.idle)
    except DemoFailedError:
        lab_process.kill()
