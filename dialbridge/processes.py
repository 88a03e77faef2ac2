"""The product's own processes, as children of a supervisor."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from config import Settings
from config.settings import CONFIG_VARIABLE, ENV_PREFIX
from dialbridge.child import ChildSpec
from state.embedded import EmbeddedRedis

MODULES = {"engine": "engine", "api": "api", "notifier": "api.notifier"}
STOP_ORDER = ("api", "engine", "notifier", "phones", "echo", "digits", "redis")
"""No new calls; live calls end, their phones answering the BYE; the last events are delivered; the state."""


def product(settings: Settings, *, config: Path | None, var: Path) -> list[ChildSpec]:
    """Everything `dialbridge serve` runs, in starting order; Redis only if no other is configured."""
    environment = {CONFIG_VARIABLE: str(config.resolve())} if config else {}
    specs: list[ChildSpec] = []
    if settings.redis.url is None:
        redis, url = embedded_redis(var / "redis")
        specs.append(redis)
        environment[f"{ENV_PREFIX}REDIS__URL"] = url
    timeouts = {
        "engine": settings.engine.shutdown_grace + 10.0,
        "api": 15.0,
        "notifier": settings.notifier.timeout + 5.0,
    }
    specs += [
        ChildSpec(
            name,
            (sys.executable, "-m", module),
            environment=environment,
            quiet=True,
            stop_timeout=timeouts[name],
        )
        for name, module in MODULES.items()
    ]
    return specs


def embedded_redis(directory: Path) -> tuple[ChildSpec, str]:
    """The embedded Redis and its URL."""
    url = EmbeddedRedis(directory).url
    spec = ChildSpec(
        "redis",
        (sys.executable, "-m", "dialbridge.redis_server", str(directory)),
        # SIGKILL would leave the server itself running: it is this child's child.
        death_signal=signal.SIGTERM,
        is_ready=lambda: _accepts(url.removeprefix("unix://")),
    )
    return spec, url


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False
