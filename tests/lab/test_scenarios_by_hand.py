"""Scenario files by hand, as the README says: a lab whose trunk is SIPp, with the command of the file."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dialbridge.ports import free_media_port, is_bound_udp
from tests.end_to_end.numbers import fresh_number
from tests.lab.labs import ROOT, Labs, LabUnderTest
from tests.support import evidence
from tests.support.waiting import wait_until

README = (ROOT / "README.md").read_text()
CREDENTIALS = '{"username": "dialbridge", "password": "secret", "realm": "*"}'


class Desk:
    """The lab of somebody who plays its trunk, and the folder that it was started in."""

    def __init__(self, folder: Path, labs: Labs) -> None:
        self.folder = folder
        (folder / "sipp-scenarios").symlink_to(ROOT / "sipp-scenarios")
        # Not one that the kernel gives to others while no SIPp holds it.
        self.port = free_media_port()
        environment = {
            "DIALBRIDGE_TRUNK__PORT": str(self.port),
            "DIALBRIDGE_TRUNK__CREDENTIALS": CREDENTIALS,
        }
        self.lab: LabUnderTest = labs.start(var=folder / "var", environment=environment)
        self.lab.wait_ready()

    @contextmanager
    def playing(self, scenario: str) -> Iterator[None]:
        """By the command of its comment, at our ports, until SIPp has ended and found nothing wrong."""
        command = command_of(scenario).replace("sipp", "exec sipp", 1)
        for standard, ours in ((" -p 5060", f" -p {self.port}"), (" -mp 6000", f" -mp {free_media_port()}")):
            assert standard in command
            command = command.replace(standard, ours)
        output = self.folder / f"{scenario}.txt"
        with output.open("wb") as log:
            sipp = subprocess.Popen(
                ("bash", "-c", command),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        with sipp:
            try:
                wait_until(lambda: is_bound_udp(self.port) or sipp.poll() is not None)
                yield
                if " -m " not in command:
                    sipp.send_signal(signal.SIGUSR1)  # as q at a terminal
                assert sipp.wait(20) == 0, evidence.tail(output)
                assert re.search(r"Successful call +\| +\d+ +\| +2 ", output.read_text()), (
                    "both legs were its"
                )
            finally:
                sipp.kill()


def command_of(scenario: str) -> str:
    comment = (ROOT / "sipp-scenarios" / f"{scenario}.xml").read_text().split("-->", 1)[0]
    commands = re.findall(r"^ +((?:cd \S+ && )?sipp .*)$", comment, re.MULTILINE)
    assert len(commands) == 1
    return str(commands[0])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("by-hand")
    labs = Labs(folder)
    try:
        yield Desk(folder, labs)
    finally:
        labs.end()


def test_the_readme_shows_the_command_of_the_file_and_how_to_set_what_it_asks_for() -> None:
    assert f"\n{command_of('hang-up')}\n" in README
    assert f"DIALBRIDGE_TRUNK__CREDENTIALS='{CREDENTIALS}'" in README


@pytest.mark.parametrize(
    ("scenario", "is_deleted"),
    [
        pytest.param("hang-up", False, id="one that runs until q is pressed"),
        pytest.param("digits-by-info", False, id="one that ends by itself"),
        pytest.param("early-media", True, id="one that plays a file of the lab"),
        pytest.param("challenge-401", True, id="one that asks for a setting"),
    ],
)
def test_sipp_ends_with_0_when_it_is_run_by_hand(desk: Desk, scenario: str, is_deleted: bool) -> None:
    with desk.lab.client() as client, desk.playing(scenario):
        call_id = client.dial(fresh_number("01"), fresh_number("99"))
        if is_deleted:
            client.wait_state(call_id, "connected")
            assert client.delete(call_id).status_code == 204
        client.wait_state(call_id, "disconnected")
