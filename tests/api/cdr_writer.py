"""`python -m tests.api.cdr_writer REDIS_URL PREFIX FOLDER`: writes what is due, and is killed on the way.

Each line of standard input says after how many lines of the writer's own code `kill -9` comes; the answer is
`killed`, or `done` if it was over by then.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import api.cdr_files
import config.private_file
import state.cdr
from api.cdr_files import CdrFiles
from config.settings import CdrSettings
from state.keys import Keys

WATCHED = {module.__file__ for module in (api.cdr_files, config.private_file, state.cdr)}
RETENTION = 30 * 86400


def writer(redis_url: str, prefix: str, folder: Path) -> CdrFiles:
    settings = CdrSettings(folder=folder, rotation="hour")
    return CdrFiles(settings, folder, redis_url=redis_url, keys=Keys(prefix), retention=RETENTION)


def kill_after(lines: int) -> None:
    """Of the modules in which something can be left half done."""
    left = lines

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def main() -> None:
    redis_url, prefix, folder = sys.argv[1:]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # where the writer logs
            kill_after(int(line))
            asyncio.run(writer(redis_url, prefix, Path(folder)).write_due())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write({0: "done\n", signal.SIGKILL: "killed\n"}.get(status, f"status {status}\n"))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
