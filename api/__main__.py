"""`python -m api`: the REST interface, one process."""

from __future__ import annotations

import signal
import socket
import sys

import structlog
import uvicorn

from api.app import create_app
from config import ConfigurationError, Settings, load_settings
from config.logs import configure_logging

log = structlog.get_logger()

GRACE = 12
"""Seconds that requests in progress have after SIGTERM; a DELETE may wait eight."""


def main() -> int:
    try:
        settings = load_settings()
        configure_logging(settings.log, "api")
        app = create_app(settings)
        listener = _listen(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    # uvicorn ends in order, then raises the signal again under the handler it found.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda _signal, _frame: None)
    with listener:
        host, port = listener.getsockname()[:2]
        sys.stdout.write(f"api listening on http://{f'[{host}]' if ':' in host else host}:{port}\n")
        sys.stdout.flush()
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(settings: Settings) -> socket.socket:
    """Bound here, so that with port 0 the chosen port can be told. Raises ConfigurationError."""
    host, port = settings.api.host, settings.api.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"api.host {host}, api.port {port}: cannot listen there ({error})"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
