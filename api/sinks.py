"""Which URIs events may be sent to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx2

from api.errors import InvalidArgumentError
from api.sink_addresses import SinkAddresses

_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
"""RFC 3986, section 2: the characters of a URI."""

_HOST = re.compile(rb"[A-Za-z0-9._:-]+")


def check_sink(sink: str, addresses: SinkAddresses, *, allow_insecure: bool, name: str = "sink") -> None:
    """`allow_insecure` (the lab) admits http; `name`: of the property.

    What a host name leads to is checked at each delivery (sink_transport.py). Raises InvalidArgumentError.
    """
    if _URI.fullmatch(sink) is None:
        raise InvalidArgumentError(f"{name}: must be a URI (RFC 3986)")
    try:
        url = httpx2.URL(sink)
    except httpx2.InvalidURL as error:
        raise InvalidArgumentError(f"{name}: must be a URI (RFC 3986)") from error
    if url.scheme != "https" and not (allow_insecure and url.scheme == "http"):
        raise InvalidArgumentError(f"{name}: must be an https URI")
    port = url.port if url.port is not None else 443
    if _HOST.fullmatch(url.raw_host) is None or not 0 < port < 65536:
        raise InvalidArgumentError(f"{name}: must name a host and may name a port from 1 to 65535")
    if "@" in urlsplit(sink).netloc:
        raise InvalidArgumentError(f"{name}: must not carry user information; use sinkCredential")
    if not addresses.admits_host(url.host):
        raise InvalidArgumentError(f"{name}: must be at a public address")
