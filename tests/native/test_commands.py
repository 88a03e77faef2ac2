from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from native.commands import CommandError, Commands


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "greeting.log"
    Commands().run(("echo", "good morning"), what="greeting", log=log)
    assert log.read_text() == "$ echo good morning\ngood morning\n"


def test_a_failure_names_its_log_and_shows_the_end(tmp_path: Path) -> None:
    log = tmp_path / "compiler.log"
    with pytest.raises(CommandError) as failure:
        Commands().run(("sh", "-c", "echo no such header; exit 3"), what="the compiler", log=log)
    assert str(failure.value).startswith(f"the compiler failed with status 3; its log is {log} and ends:\n")
    assert str(failure.value).endswith("no such header")


def test_the_job_server_of_a_calling_make_is_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-j8 --jobserver-auth=3,4")
    log = tmp_path / "make.log"
    Commands().run(
        (sys.executable, "-c", "import os; print(os.environ.get('MAKEFLAGS'))"), what="make", log=log
    )
    assert log.read_text().endswith("None\n")


def test_the_first_failure_ends_what_runs_beside_it(tmp_path: Path) -> None:
    commands = Commands()
    started = tmp_path / "started"

    def endless() -> None:
        # A child that outlives its parent, as a compiler under make does.
        script = f"sleep 600 & echo $! > {started}.tmp; mv {started}.tmp {started}; wait"
        commands.run(("sh", "-c", script), what="the libraries", log=tmp_path / "libraries.log")

    def failing() -> None:
        script = f"until [ -e {started} ]; do :; done; exit 1"
        commands.run(("sh", "-c", script), what="the binding", log=tmp_path / "binding.log")

    with pytest.raises(CommandError, match="the binding failed with status 1"):
        commands.together(endless, failing)
    grandchild = Path("/proc") / started.read_text().strip() / "cmdline"
    # A zombie that nobody has collected yet has no command line any more.
    assert not grandchild.exists() or grandchild.read_bytes() == b""


def test_nothing_starts_after_the_end(tmp_path: Path) -> None:
    commands = Commands()
    stopper = threading.Thread(target=commands.stop)
    stopper.start()
    stopper.join()
    with pytest.raises(CommandError, match="the linker was stopped"):
        commands.run(("true",), what="the linker", log=tmp_path / "link.log")
