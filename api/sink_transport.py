"""HTTP to sinks: a name is resolved once, and the connection goes to an address that was checked."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address

import httpcore2
import httpx2

from api.sink_addresses import Address, SinkAddresses

RESPONSE_LIMIT = 64 * 1024
"""Bytes of an answer that are read."""


class ForbiddenAddressError(httpcore2.ConnectError):
    """The sink's name leads to no address that events may be sent to."""


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects only to admitted addresses.

    Who checks a name and then lets the library resolve it again is open to DNS rebinding. Host header, SNI
    and the check of the certificate still go by the name: httpcore takes them from the URL.
    """

    def __init__(self, addresses: SinkAddresses) -> None:
        self._addresses = addresses
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        admitted = [address for address in await _resolve(host, port) if self._addresses.admits(address)]
        if not admitted:
            raise ForbiddenAddressError(f"{host} has no public address")
        share = None if timeout is None else timeout / len(admitted)
        *others, last = (str(address) for address in admitted)
        for address in others:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._network.connect_tcp(address, port, share, local_address, socket_options)
        return await self._network.connect_tcp(last, port, share, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


async def _resolve(host: str, port: int) -> list[Address]:
    """In the order in which the system prefers them (RFC 6724)."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore2.ConnectError(f"{host} cannot be resolved: {error.strerror}") from error
    return [ip_address(address[0]) for *_, address in found]


class PoolPerSink(httpx2.AsyncBaseTransport):
    """Each host and port has a connection pool of its own.

    A pool looks at every connection it holds, also with a system call, whenever a request begins or ends:
    with one for all, the connections to all sinks would be paid for with each event.
    """

    def __init__(self, make: Callable[[], httpx2.AsyncHTTPTransport], unused_after: float) -> None:
        """`unused_after`: seconds after its last request when a pool is closed; longer than any exchange."""
        self._make = make
        self._unused_after = unused_after
        self._pools: dict[tuple[str, str, int | None], tuple[float, httpx2.AsyncHTTPTransport]] = {}
        """With the time of the last request, in the order of it."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        now = time.monotonic()
        sink = (request.url.scheme, request.url.host, request.url.port)
        pool = self._pools.pop(sink)[1] if sink in self._pools else self._make()
        self._pools[sink] = now, pool
        while (oldest := next(iter(self._pools.items())))[1][0] < now - self._unused_after:
            del self._pools[oldest[0]]
            await oldest[1][1].aclose()
        return await pool.handle_async_request(request)

    async def aclose(self) -> None:
        while self._pools:
            await self._pools.popitem()[1][1].aclose()


def sink_client(addresses: SinkAddresses, *, timeout: float, connections: int) -> httpx2.AsyncClient:
    """`timeout`: seconds for each exchange and step of it; `connections`: to one sink at the same time.

    Settings come from one place: neither proxies nor credentials are taken from the environment. Redirects
    are not followed: where they lead, nobody has checked.
    """
    tls = httpx2.create_ssl_context(trust_env=False)

    def pool() -> httpx2.AsyncHTTPTransport:
        transport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False)
        # The transport has no argument for a network backend.
        transport._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            # Shorter than the idle time of common servers: a POST that meets their close is a failed try.
            keepalive_expiry=2,
            network_backend=CheckedBackend(addresses),
        )
        return transport

    transport = PoolPerSink(pool, unused_after=2 * timeout)
    return httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False, trust_env=False)


async def read_limited(response: httpx2.Response) -> bytes:
    """The body as it came, up to RESPONSE_LIMIT bytes or a little more: a sink must not fill our memory."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > RESPONSE_LIMIT:
            break
    return bytes(body)
