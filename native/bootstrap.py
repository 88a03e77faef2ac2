"""Makes a checkout ready to run: Debian packages, virtual environment, locked packages, pjsua2, ourselves.

``python3 -m native.bootstrap``, which ``make setup`` calls. Does nothing when nothing has changed.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from native.build_wheel import end_on_signals, obtain_wheel, settings_hash
from native.cache import cache_directory
from native.commands import Commands
from native.debian_packages import PACKAGE_LIST, install_missing
from native.errors import SetupError
from native.progress import Progress
from native.source import content_hash, given_tarball

CHECKOUT = Path(__file__).parent.parent
LOCK = CHECKOUT / "requirements-dev.lock"
ENVIRONMENT = CHECKOUT / ".venv"
STAMP = ENVIRONMENT / "dialbridge-setup"


def fingerprint() -> str:
    """Stands for everything the set-up depends on."""
    digest = hashlib.sha256()
    for path in (LOCK, CHECKOUT / "pyproject.toml", PACKAGE_LIST):
        digest.update(path.read_bytes())
    tarball = given_tarball()
    for fact in (CHECKOUT, sys.executable, sys.version, settings_hash(), tarball and content_hash(tarball)):
        digest.update(f"\0{fact}".encode())
    return digest.hexdigest()


def is_ready() -> bool:
    """Whether an earlier set-up ended well and nothing has changed since."""
    return (
        STAMP.is_file() and (ENVIRONMENT / "bin/dialbridge").is_file() and STAMP.read_text() == fingerprint()
    )


def set_up(commands: Commands, progress: Progress) -> None:
    """Raises SetupError with the remedy when a step fails."""
    logs = cache_directory() / "setup-logs"
    shutil.rmtree(logs, ignore_errors=True)
    install_missing(commands, progress, logs / "apt.log")
    STAMP.unlink(missing_ok=True)
    wheels: list[Path] = []
    commands.together(
        lambda: wheels.append(obtain_wheel(commands, progress)),
        lambda: _install_locked(commands, progress, logs / "packages.log"),
    )
    with progress.step("installing pjsua2 and dialbridge"):
        # The version names the build, so a wheel that is installed already is left alone.
        _pip(commands, logs / "dialbridge.log", "--no-deps", wheels[0])
        _pip(commands, logs / "dialbridge.log", "--no-deps", "--no-build-isolation", "--editable", CHECKOUT)
    shutil.rmtree(logs, ignore_errors=True)
    STAMP.write_text(fingerprint())


def _install_locked(commands: Commands, progress: Progress, log: Path) -> None:
    with progress.step("installing the locked Python packages"):
        python = ENVIRONMENT / "bin/python"
        if not python.exists():
            command = (sys.executable, "-m", "venv", "--clear", ENVIRONMENT)
            commands.run(command, what="making the virtual environment", log=log)
        _pip(commands, log, "--require-hashes", "--requirement", LOCK)


def _pip(commands: Commands, log: Path, *arguments: str | Path) -> None:
    """pip with the machine's own configuration (index, proxy, certificates)."""
    pip = (ENVIRONMENT / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    commands.run((*pip, "install", *arguments), what="pip install", log=log)


def main() -> int:
    end_on_signals()
    try:
        if not is_ready():
            set_up(Commands(), Progress())
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
