"""Which URIs events may be sent to."""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import httpx2

from api.errors import InvalidArgumentError

_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
"""RFC 3986, section 2: the characters of a URI."""

_HOST = re.compile(rb"[A-Za-z0-9._:-]+")


def check_sink(sink: str, *, allow_insecure: bool) -> None:
    """`allow_insecure` (the lab) admits http and this machine's own addresses.

    Raises InvalidArgumentError.
    """
    if _URI.fullmatch(sink) is None:
        raise InvalidArgumentError("sink: must be a URI (RFC 3986)")
    try:
        url = httpx2.URL(sink)
    except httpx2.InvalidURL as error:
        raise InvalidArgumentError("sink: must be a URI (RFC 3986)") from error
    if url.scheme != "https" and not (allow_insecure and url.scheme == "http"):
        raise InvalidArgumentError("sink: must be an https URI")
    port = url.port if url.port is not None else 443
    if _HOST.fullmatch(url.raw_host) is None or not 0 < port < 65536:
        raise InvalidArgumentError("sink: must name a host and may name a port from 1 to 65535")
    if "@" in urlsplit(sink).netloc:
        raise InvalidArgumentError("sink: must not carry user information; use sinkCredential")
    if not allow_insecure and _is_local(url.host):
        raise InvalidArgumentError("sink: must not be an address of the platform's own machine or link")


def sink_authority(sink: str) -> str:
    """Host and port: what deliveries of several calls have in common when a sink is slow."""
    return httpx2.URL(sink).netloc.decode("ascii")


def _is_local(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _literal(name)
    if address is None:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = mapped or address
    return address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast


def _literal(name: str) -> IPv4Address | IPv6Address | None:
    """An address as connect() would read it: also `127.1`, `0x7f000001` and `2130706433` are loopback."""
    try:
        return ip_address(name)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        return None
