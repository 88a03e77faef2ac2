"""`dialbridge serve`: the product's processes in the foreground."""

from __future__ import annotations

from pathlib import Path

from config import load_settings
from config.logs import configure_logging
from dialbridge.processes import STOP_ORDER, product
from dialbridge.supervisor import StopRequestedError, Supervisor


def serve(config: Path | None, var: Path) -> None:
    """Run until SIGTERM or SIGINT; the embedded Redis keeps its data in `var`/redis.

    Raises ConfigurationError, and StartFailedError if a process ends before the others are started.
    """
    settings = load_settings(config)
    configure_logging(settings.log, "supervisor")
    with Supervisor(product(settings, config=config, var=var), STOP_ORDER) as supervisor:
        try:
            supervisor.start()
            supervisor.run()
        except StopRequestedError:
            return
