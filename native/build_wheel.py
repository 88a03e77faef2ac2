"""Builds the pjsua2 wheel for the running interpreter, or finds it in the cache.

``python3 -m native.build_wheel`` prints progress on standard error and the wheel's path on standard output.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import signal
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import FrameType

from native.cache import Cache, cache_directory
from native.commands import Commands
from native.debian_packages import listed_packages, require_packages
from native.errors import SetupError
from native.pjproject import CONFIG_SITE, PATCHES, Build
from native.progress import Progress
from native.source import content_hash, fetch_from_debian, given_tarball
from native.wheel_file import write_wheel

HERE = Path(__file__).parent
BUILD_INSTRUCTIONS = (CONFIG_SITE, *PATCHES, HERE / "pjproject.py", HERE / "wheel_file.py")
"""Files whose content decides what the wheel contains."""


def settings_hash(instructions: tuple[Path, ...] = BUILD_INSTRUCTIONS) -> str:
    """Stands for all but the source: our settings, the interpreter's ABI and the system's libraries."""
    digest = hashlib.sha256()
    for path in instructions:
        digest.update(path.read_bytes())
    system = platform.freedesktop_os_release()
    for fact in (sysconfig.get_config_var("EXT_SUFFIX"), system.get("ID"), system.get("VERSION_ID")):
        digest.update(f"\0{fact}".encode())
    return digest.hexdigest()


def cache_key(source: Path) -> str:
    """Names the wheel that `source` gives with the present settings."""
    return hashlib.sha256(f"{content_hash(source)} {settings_hash()}".encode()).hexdigest()[:20]


def obtain_wheel(commands: Commands, progress: Progress, refresh: bool = False) -> Path:
    """The wheel's path in the cache, built now if it is not there; uses the network only without a source.

    Raises SetupError with the remedy when it cannot be built.
    """
    cache = Cache(cache_directory())
    given = given_tarball()
    source = given or (None if refresh else cache.newest_source())
    if source and (wheel := cache.wheel(cache_key(source))):
        return wheel
    require_packages(listed_packages("build"))
    try:
        return _build(cache, commands, progress, given, refresh)
    except OSError as error:
        raise SetupError(
            f"The wheel cannot be built in {cache.root}: {error.strerror} ({error.filename}); "
            "make room or set DIALBRIDGE_CACHE to another directory."
        ) from error


def _build(cache: Cache, commands: Commands, progress: Progress, given: Path | None, refresh: bool) -> Path:
    with cache.build_lock(progress), cache.work_directory() as work:
        shutil.rmtree(cache.logs, ignore_errors=True)
        source = given or (None if refresh else cache.newest_source())
        if source is None:
            fetched = fetch_from_debian(commands, progress, work / "source", cache.logs / "source.log")
            source = cache.keep_source(fetched)
        key = cache_key(source)
        if wheel := cache.wheel(key):  # another build made it while we waited for the lock
            return wheel
        (work / "build").mkdir()
        build = Build(commands, progress, work / "build", cache.logs)
        modules = build.run(source)
        wheel = write_wheel(work, f"{build.version}+dialbridge.{key[:8]}", modules, build.licence)
        with progress.step("checking pjsua2"):
            _check(commands, wheel, work / "check", cache.logs / "check.log")
        kept = cache.keep_wheel(key, wheel)
        shutil.rmtree(cache.logs)
        return kept


def _check(commands: Commands, wheel: Path, unpacked: Path, log: Path) -> None:
    """In a process of its own: a broken binding may crash, and an endpoint is per process."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    commands.run(
        (sys.executable, "-m", "native.check_pjsua2"),
        what="the check of the new pjsua2",
        log=log,
        cwd=HERE.parent,
        variables={"PYTHONPATH": str(unpacked), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that nothing is left behind."""

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m native.build_wheel", description=__doc__)
    parser.add_argument(
        "--refresh", action="store_true", help="fetch Debian's present pjproject source again"
    )
    refresh = parser.parse_args().refresh
    end_on_signals()
    try:
        print(obtain_wheel(Commands(), Progress(), refresh))
    except SetupError as error:
        print(f"native: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("native: interrupted; nothing was left behind", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
