"""`dialbridge lab`: everything on one machine, with phones that answer."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from config import load_settings
from config.private_file import write_private
from dialbridge.lab_settings import CLIENT_ID, LabSettings
from dialbridge.phones import lab_phones
from dialbridge.ports import is_free_tcp
from dialbridge.processes import STOP_ORDER, embedded_redis, product
from dialbridge.supervisor import StartFailedError, StopRequestedError, Supervisor

READY_WITHIN = 30.0
READY_POLL = 0.1


class LabError(Exception):
    """The lab cannot start; the message says why and what to do."""


class Lab:
    """One lab. Two of them run side by side with different `var` folders and ports."""

    def __init__(self, var: Path, port: int, app_server: str | None = None) -> None:
        """`app_server`: the application of the older API generation."""
        self.var = var
        self.port = port
        self.app_server = app_server
        self.config = var / "lab" / "dialbridge.toml"
        self.description = var / "lab.json"

    def run(self, announce: Callable[[str], None]) -> None:
        """Run until SIGTERM or SIGINT; `announce` gets the lines for the user.

        Raises LabError or PhonesMissingError if it does not come up.
        """
        with self._only_one():
            self._run(announce)

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Two labs in one folder would share Redis and settings; raises LabError."""
        path = self.var / "lab" / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(
                    f"another lab runs in {self.var}: stop it, or choose another folder with --var"
                ) from None
            # Of a lab that was killed: nobody may take it for this one's.
            self.description.unlink(missing_ok=True)
            yield

    def _run(self, announce: Callable[[str], None]) -> None:
        if not is_free_tcp(self.port):
            raise LabError(
                f"port {self.port} is taken: stop the program that uses it, or choose another with --port"
            )
        phones = lab_phones(self.var / "lab" / "phones")
        redis, redis_url = embedded_redis(self.var / "lab" / "redis")
        settings = LabSettings.fresh(
            var=self.var,
            api_port=self.port,
            redis_url=redis_url,
            trunk_port=phones.sip_port,
            app_server=self.app_server,
        )
        write_private(self.config, settings.toml())
        processes = product(load_settings(self.config), config=self.config, var=self.var)
        with Supervisor([redis, *phones.children, *processes], STOP_ORDER) as supervisor:
            try:
                supervisor.start()
                self._wait_ready(supervisor, settings.api_root)
                self._announce(settings, announce)
                supervisor.run()
            except StopRequestedError:
                return
            except StartFailedError as error:
                raise LabError(f"the lab did not come up: {error}") from error
            finally:
                # Before anything is stopped: who finds the file may rely on the lab.
                self.description.unlink(missing_ok=True)

    def _announce(self, settings: LabSettings, announce: Callable[[str], None]) -> None:
        description = settings.description(self.config)
        write_private(self.description, json.dumps(description, indent=2) + "\n")
        for line in (
            f"API root       {settings.api_root}",
            f"client id      {CLIENT_ID}",
            f"client secret  {settings.client_secret}",
            f"all of it in   {self.description}",
            "Ctrl-C stops the lab.",
        ):
            announce(line)

    @staticmethod
    def _wait_ready(supervisor: Supervisor, api_root: str) -> None:
        """Until /readyz says that Redis and an engine are there; raises StartFailedError."""
        deadline = time.monotonic() + READY_WITHIN
        answer = "no answer"
        with httpx2.Client(trust_env=False, timeout=2.0) as http:
            while time.monotonic() < deadline:
                try:
                    response = http.get(f"{api_root}/readyz")
                except httpx2.TransportError as error:
                    answer = str(error)
                else:
                    if response.is_success:
                        return
                    answer = f"{response.status_code} {response.text}"
                supervisor.check_start(READY_POLL)
        raise StartFailedError(f"{api_root}/readyz was not ready within {READY_WITHIN:.0f} s: {answer}")
