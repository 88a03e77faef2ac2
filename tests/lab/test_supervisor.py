"""The supervisor with real child processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialbridge.supervisor import BACKOFF_INITIAL, BACKOFF_MAX, STABLE_AFTER, next_delay
from tests.support import evidence
from tests.support.waiting import wait_until

PROGRAM = """
import json, sys
from pathlib import Path
from dialbridge.child import ChildSpec
from dialbridge.supervisor import Supervisor, StartFailedError, StopRequestedError

folder = Path(sys.argv[1])
children = json.loads(sys.argv[2])
specs = [
    ChildSpec(
        name, (sys.executable, "-c", code), environment={"NOTES": str(folder / "notes")}, stop_timeout=1.5
    )
    for name, code in children.items()
]
with Supervisor(specs, json.loads(sys.argv[3])) as supervisor:
    try:
        supervisor.start()
        supervisor.run()
    except StartFailedError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    except StopRequestedError:
        pass
"""

NOTE = """
import os, signal, sys
def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(text + "\\n")
def obey(*_):
    note(f"end {NAME}")
    sys.exit(0)
signal.signal(signal.SIGTERM, obey)
"""
WAITS = NOTE + 'note(f"up {NAME} {os.getpid()}")\nwhile True: signal.pause()\n'
IGNORES_SIGTERM = WAITS.replace("signal.SIGTERM, obey", "signal.SIGTERM, signal.SIG_IGN")
HAS_CHILD = WAITS.replace(
    "while True",
    "import subprocess\n"
    'grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])\n'
    'note(f"up grandchild {grandchild.pid}")\nwhile True',
)


class Supervised:
    """A supervisor process; its children note what they do."""

    def __init__(self, folder: Path, children: dict[str, str], stop_order: list[str]) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(folder), json.dumps(children), json.dumps(stop_order)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).resolve().parents[2],
            )

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def pids(self, name: str) -> list[int]:
        return [int(note.split()[2]) for note in self.notes() if note.startswith(f"up {name} ")]

    def wait_up(self, name: str, times: int = 1) -> int:
        wait_until(lambda: len(self.pids(name)) >= times, what=f"start {times} of {name}")
        return self.pids(name)[-1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


class Supervisors:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Supervised] = []

    def start(self, stop_order: list[str] | None = None, **children: str) -> Supervised:
        codes = {name: f"NAME = {name!r}\n{code}" for name, code in children.items()}
        supervised = Supervised(self._folder, codes, stop_order or list(children))
        self.started.append(supervised)
        return supervised


@pytest.fixture
def supervisors(tmp_path: Path) -> Iterator[Supervisors]:
    made = Supervisors(tmp_path)
    evidence.offer("supervisor", lambda: evidence.tail(tmp_path / "log"))
    yield made
    evidence.withdraw("supervisor")
    for supervised in made.started:
        supervised.process.kill()
        supervised.process.wait()


def is_gone(pid: int) -> bool:
    """No such process, or only its exit status is left."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_a_killed_child_is_started_again(supervisors: Supervisors) -> None:
    supervised = supervisors.start(one=WAITS, two=WAITS)
    first, other = supervised.wait_up("one"), supervised.wait_up("two")
    os.kill(first, signal.SIGKILL)
    second = supervised.wait_up("one", times=2)
    assert second != first
    assert supervised.pids("two") == [other]
    log = supervised.log.read_text()
    assert "signal SIGKILL" in log
    assert supervised.stop() == 0


def test_what_a_killed_child_started_does_not_outlive_it(supervisors: Supervisors) -> None:
    supervised = supervisors.start(one=HAS_CHILD)
    grandchild = supervised.wait_up("grandchild")
    os.kill(supervised.wait_up("one"), signal.SIGKILL)
    wait_until(lambda: is_gone(grandchild), what="end of the grandchild")
    assert supervised.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_children_are_stopped_one_after_the_other(supervisors: Supervisors, number: signal.Signals) -> None:
    supervised = supervisors.start(["three", "one", "two"], one=WAITS, two=WAITS, three=WAITS)
    for name in ("one", "two", "three"):
        supervised.wait_up(name)
    assert supervised.stop(number) == 0
    assert [note for note in supervised.notes() if note.startswith("end")] == [
        "end three",
        "end one",
        "end two",
    ]


def test_a_child_that_does_not_stop_is_killed(supervisors: Supervisors) -> None:
    supervised = supervisors.start(deaf=IGNORES_SIGTERM, one=WAITS)
    deaf = supervised.wait_up("deaf")
    supervised.wait_up("one")
    assert supervised.stop() == 0
    assert is_gone(deaf)
    assert "end one" in supervised.notes()


def test_a_second_signal_stops_at_once(supervisors: Supervisors) -> None:
    supervised = supervisors.start(deaf=IGNORES_SIGTERM, one=WAITS)
    pids = [supervised.wait_up("deaf"), supervised.wait_up("one")]
    supervised.process.send_signal(signal.SIGINT)
    # Told apart by what it says: it is in the middle of stopping the child that ignores SIGTERM.
    wait_until(lambda: "stopping" in supervised.log.read_text(), what="the first signal")

    def ended() -> bool:
        supervised.process.send_signal(signal.SIGINT)
        return supervised.process.poll() is not None

    wait_until(ended, what="end of the supervisor")
    assert supervised.process.returncode == 0
    assert all(is_gone(pid) for pid in pids)
    assert "stopping at once" in supervised.log.read_text()
    assert "end one" not in supervised.notes()


def test_a_signal_that_comes_twice_is_one_request(supervisors: Supervisors) -> None:
    supervised = supervisors.start(one=WAITS, two=WAITS)
    for name in ("one", "two"):
        supervised.wait_up(name)
    supervised.process.send_signal(signal.SIGTERM)
    assert supervised.stop(signal.SIGINT) == 0
    assert supervised.notes()[-2:] == ["end one", "end two"]


def test_no_child_outlives_a_supervisor_that_was_killed(supervisors: Supervisors) -> None:
    supervised = supervisors.start(one=WAITS, deaf=IGNORES_SIGTERM)
    pids = [supervised.wait_up("one"), supervised.wait_up("deaf")]
    supervised.stop(signal.SIGKILL)
    wait_until(lambda: all(is_gone(pid) for pid in pids), what="end of the children")


def test_the_delay_doubles_up_to_a_limit_and_starts_anew_after_a_stable_run() -> None:
    delays = [next_delay(None, 0.0)]
    for _ in range(6):
        delays.append(next_delay(delays[-1], 1.0))
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert delays[-1] == BACKOFF_MAX
    assert next_delay(delays[-1], STABLE_AFTER) == BACKOFF_INITIAL


def test_settings_that_cannot_work_end_everything_with_a_sentence(tmp_path: Path) -> None:
    """No issuer is named: a restart would not help."""
    config = tmp_path / "dialbridge.toml"
    config.write_text("[sip]\nport = 0\n[api]\nport = 0\n")
    run = subprocess.run(
        [sys.executable, "-m", "dialbridge", "serve", "--config", str(config), "--var", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "auth.issuer is not set" in run.stderr
    assert run.stderr.splitlines()[-1].startswith("dialbridge: the api cannot run with these settings")
