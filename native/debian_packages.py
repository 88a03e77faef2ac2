"""Which Debian packages are needed, which are missing, and how they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from native.commands import Commands
from native.errors import SetupError
from native.progress import Progress

PACKAGE_LIST = Path(__file__).with_name("debian-packages.txt")


def listed_packages(group: str | None = None, text: str | None = None) -> tuple[str, ...]:
    """The packages of one section (`build` or `run`) of debian-packages.txt, or all of them."""
    packages: list[str] = []
    section = ""
    for line in (PACKAGE_LIST.read_text() if text is None else text).splitlines():
        entry = line.partition("#")[0].strip()
        if entry.startswith("["):
            section = entry.strip("[]")
        elif entry and group in (None, section):
            packages.append(entry)
    return tuple(packages)


def missing_packages(wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of `wanted` that dpkg does not have installed. Without dpkg nobody can tell, so none."""
    if shutil.which("dpkg-query") is None:
        return ()
    asked = subprocess.run(
        ("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *wanted),
        capture_output=True,
        text=True,
        check=False,  # it fails when it knows nothing of one of the packages
    )
    states = dict(line.split(" ", 1) for line in asked.stdout.splitlines())
    return tuple(package for package in wanted if states.get(package) != "installed")


def install_command(packages: Iterable[str]) -> str:
    """What an administrator types to install them."""
    return f"apt-get install --no-install-recommends {' '.join(packages)}"


def require_packages(wanted: Sequence[str]) -> None:
    """Raise SetupError with the remedy if some of them are missing."""
    if missing := missing_packages(wanted):
        raise SetupError(
            f"Debian packages are missing; install them as root with: {install_command(missing)}"
        )


def install_missing(commands: Commands, progress: Progress, log: Path) -> None:
    """Install every missing package of the list, as root or through sudo.

    Raises SetupError when there is no way to become root or when apt fails.
    """
    missing = missing_packages(listed_packages())
    if not missing:
        return
    become_root = _way_to_root(missing)
    options = ("-q", "-y", "-o", "DPkg::Lock::Timeout=300")
    quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options)
    progress.say(f"Installing Debian packages: {' '.join(missing)}")
    with progress.step("reading Debian's package lists"):
        commands.run((*become_root, *quiet, "update"), what="apt-get update", log=log, on_terminal=True)
    with progress.step("installing Debian packages"):
        commands.run(
            (*become_root, *quiet, "install", "--no-install-recommends", *missing),
            what=install_command(missing),
            log=log,
            on_terminal=True,
        )


def _way_to_root(packages: Iterable[str]) -> tuple[str, ...]:
    if os.geteuid() == 0:
        return ()
    # Asks for the password here, before a progress line could hide the question.
    if shutil.which("sudo") is None or subprocess.run(("sudo", "-v"), check=False).returncode != 0:
        raise SetupError(
            f"Debian packages are missing and neither root nor sudo is at hand; as root run: "
            f"{install_command(packages)}"
        )
    return ("sudo",)
