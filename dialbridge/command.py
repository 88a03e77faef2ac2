"""What the commands share: their settings, and how one ends that cannot do its work."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from config import ConfigurationError, Settings, load_settings
from config.logs import configure_logging
from config.settings import CONFIG_VARIABLE

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help=f"Settings file (TOML); else the one that {CONFIG_VARIABLE} names."),
]


def named(config: Path | None) -> Path | None:
    """The settings file of the option or of the environment."""
    if config is None and (found := os.environ.get(CONFIG_VARIABLE)):
        return Path(found)
    return config


def settings_of(config: Path | None) -> Settings:
    """Raises ConfigurationError."""
    return load_settings(named(config))


@contextmanager
def redis_in_reach() -> Iterator[None]:
    """Turns what a command meets at the settings or at Redis into one sentence and exit status 1."""
    from state.connection import UNREACHABLE  # noqa: PLC0415 - not each command needs Redis
    from state.pool import NoPoolError  # noqa: PLC0415
    from state.vault import SealedError  # noqa: PLC0415

    try:
        yield
    except (ConfigurationError, NoPoolError) as error:
        fail(str(error))
    except SealedError:
        fail("privacy.keys has not the key that the enterprise's secrets are encrypted with")
    except UNREACHABLE as error:
        fail(f"Redis cannot be reached, or a file cannot be written: {error}")


def quieten(settings: Settings) -> None:
    """What a command prints is its result: of the log only what went wrong."""
    configure_logging(settings.log.model_copy(update={"level": "warning"}), "command")


def fail(sentence: str) -> NoReturn:
    print(f"dialbridge: {sentence}", file=sys.stderr)
    sys.exit(1)


def actor() -> str:
    """Who gives the command, for the audit: not by the environment, which the user may set."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"command:{user}"
