"""Where sinks may be: one must not be a door into the carrier's network."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from config.settings import NotifierSettings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SPECIAL_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata service at a public address
        "169.254.0.0/16",  # link-local; metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
"""IANA IPv4 Special-Purpose Address Registry (RFC 6890): what is not globally reachable unicast."""

_GLOBAL_IPV6 = IPv6Network("2000::/3")
"""Global unicast; all that IANA has given out so far."""

_SPECIAL_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: any IPv4 address
        "3fff::/20",
    )
)
_EMBEDDING_IPV4 = (
    IPv6Network("::ffff:0:0/96"),  # mapped
    IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052): how an IPv6-only host reaches public IPv4
)


class SinkAddresses:
    """Admits public unicast addresses and those of the networks that an administrator allows."""

    def __init__(self, *, allowed: Sequence[Network] = (), anywhere: bool = False) -> None:
        """`anywhere`: every address, as in the lab."""
        self._allowed = tuple(allowed)
        self._anywhere = anywhere

    @classmethod
    def of(cls, settings: NotifierSettings) -> SinkAddresses:
        return cls(allowed=settings.allowed_networks, anywhere=settings.allow_insecure_sinks)

    def admits(self, address: Address) -> bool:
        """Judges an IPv4 address inside an IPv6 one as that IPv4 address."""
        address = _unwrapped(address)
        return self._anywhere or _is_public(address) or any(address in network for network in self._allowed)

    def admits_host(self, host: str) -> bool:
        """False for a URI's host that names a place not admitted; of other names, only DNS knows."""
        name = host.rstrip(".").lower()
        address = _literal(name)
        if address is not None:
            return self.admits(address)
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
            return self.admits(IPv4Address("127.0.0.1"))
        return True


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address) and any(address in network for network in _EMBEDDING_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    return address in _GLOBAL_IPV6 and not any(address in network for network in _SPECIAL_IPV6)


def _literal(name: str) -> Address | None:
    """An address as connect() would read it: also `127.1`, `0x7f000001` and `2130706433` are loopback."""
    try:
        return ip_address(name)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        return None
