"""`python -m dialbridge.redis_server DIR`: the embedded Redis server as a child of the supervisor."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from state.embedded import EmbeddedRedis

ENDINGS = frozenset({signal.SIGTERM, signal.SIGINT})
SUPERVISION_INTERVAL = 0.5
TOLERATED_FAILURES = 20
"""Unanswered PINGs in a row: a server busy for a moment is not a dead one."""


def main(directory: Path) -> int:
    """Run the server until SIGTERM; 1 if it does not start or ends by itself."""
    server = EmbeddedRedis(directory)
    try:
        server.start()
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    # Only now: the server inherits the signals that are blocked.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    failures = 0
    while signal.sigtimedwait(ENDINGS, SUPERVISION_INTERVAL) is None:
        failures = 0 if server.is_running() else failures + 1
        if failures > TOLERATED_FAILURES:
            sys.stderr.write("the embedded Redis server ended or no longer answers\n")
            return 1
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
