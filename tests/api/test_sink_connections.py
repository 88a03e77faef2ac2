"""Connections to sinks: kept for the next event, and closed when none comes."""

from __future__ import annotations

import asyncio

import httpx2

from api.sink_transport import PoolPerSink


class Listener:
    """Answers 204 to whatever it gets."""

    def __init__(self) -> None:
        self.connections = 0
        self.closed = asyncio.Event()
        self.root = ""

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except asyncio.IncompleteReadError:
            self.closed.set()
        finally:
            writer.close()


def test_a_connection_is_kept_for_its_sink_and_closed_when_that_is_left_alone() -> None:
    async def run() -> None:
        one, other = Listener(), Listener()
        transport = PoolPerSink(httpx2.AsyncHTTPTransport, unused_after=0)
        async with await one.start(), await other.start(), httpx2.AsyncClient(transport=transport) as client:
            for _ in range(3):
                assert (await client.post(f"{one.root}/a")).status_code == 204
            assert not one.closed.is_set()
            await client.post(other.root)
            await one.closed.wait()
            assert not other.closed.is_set()
            await client.post(f"{one.root}/b")
            assert (one.connections, other.connections) == (2, 1)

    asyncio.run(run())
