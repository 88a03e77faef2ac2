"""Which URIs events may be sent to, outside the lab."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from api.errors import InvalidArgumentError
from api.sink_addresses import SinkAddresses
from api.sinks import check_sink

PUBLIC = SinkAddresses()
ANYWHERE = SinkAddresses(anywhere=True)

HOSTILE = [
    # A scheme that carries a token in the clear, or is none of ours.
    "http://example.com/sink",
    "http://203.0.114.1/sink",
    "ftp://example.com/sink",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "unix:///run/redis.sock",
    "//example.com/sink",
    "example.com/sink",
    # This machine.
    "https://localhost/sink",
    "https://LOCALHOST./sink",
    "https://a.localhost./sink",
    "https://127.0.0.1/sink",
    "https://127.255.255.254/sink",
    "https://127.1/sink",
    "https://2130706433/sink",
    "https://017700000001/sink",
    "https://0x7f000001/sink",
    "https://0x7f.1/sink",
    "https://0177.0.0.01/sink",
    "https://0/sink",
    "https://0.0.0.0/sink",
    "https://[::1]/sink",
    "https://[::]/sink",
    "https://[0:0:0:0:0:0:0:1]:8443/sink",
    "https://[::ffff:127.0.0.1]/sink",
    "https://[::ffff:7f00:1]/sink",
    "https://[::127.0.0.1]/sink",
    "https://[64:ff9b::7f00:1]/sink",
    # The carrier's networks.
    "https://10.1.2.3/sink",
    "https://172.16.0.1/sink",
    "https://172.31.255.255/sink",
    "https://192.168.1.1/sink",
    "https://3232235777/sink",
    "https://100.64.0.1/sink",
    "https://198.18.0.1/sink",
    "https://[fc00::1]/sink",
    "https://[fd00:ec2::254]/latest/meta-data",
    "https://[::ffff:10.0.0.1]/sink",
    "https://[64:ff9b::a00:1]/sink",
    "https://[2002:a00:1::]/sink",
    "https://[2001:0:a00:1::]/sink",
    # This link, metadata services, and what is no single host.
    "https://169.254.169.254/latest/meta-data",
    "https://0xa9fea9fe/latest",
    "https://[::ffff:169.254.169.254]/latest",
    "https://100.100.100.200/latest",
    "https://168.63.129.16/metadata",
    "https://192.0.0.192/opc",
    "https://[fe80::1]/sink",
    "https://[fe80::1%25eth0]/sink",
    "https://[ff02::1]/sink",
    "https://224.0.0.1/sink",
    "https://255.255.255.255/sink",
    "https://240.0.0.1/sink",
    "https://192.0.2.1/sink",
    "https://[2001:db8::1]/sink",
    # Whose host is not what it looks like.
    "https://example.com@127.0.0.1/sink",
    "https://user:secret@example.com/sink",
    "https://@example.com/sink",
    "https://example.com\\@127.0.0.1/sink",
    "https://127.0.0.1%2f@example.com/sink",
    "https://127.0.0.1%00.example.com/sink",
    "https://exam ple.com/sink",
    "https://example.com\r\nHost: localhost/sink",
    "https://\u2460\u2461\u2466.0.0.1/sink",
    "https:///sink",
    "https://example.com:0/sink",
    "https://example.com:65536/sink",
]


@pytest.mark.parametrize(
    "sink",
    [
        "https://example.com/sink",
        "HTTPS://example.com:8443/sink?a=%20#f",
        "https://93.184.215.14/sink",
        "https://172.32.0.1/sink",
        "https://100.128.0.1/sink",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/",
        "https://[64:ff9b::5db8:d70e]/",
        "https://xn--exmple-cua.com/",
        "https://localhost.example.com/",
    ],
)
def test_https_at_a_public_address_is_good(sink: str) -> None:
    check_sink(sink, PUBLIC, allow_insecure=False)


@pytest.mark.parametrize("sink", HOSTILE)
def test_what_is_no_public_https_uri_is_refused(sink: str) -> None:
    with pytest.raises(InvalidArgumentError, match="sink: "):
        check_sink(sink, PUBLIC, allow_insecure=False)


@pytest.mark.parametrize("sink", ["http://127.0.0.1:8080/sink", "http://localhost/", "https://[::1]/"])
def test_the_lab_admits_both(sink: str) -> None:
    check_sink(sink, ANYWHERE, allow_insecure=True)


def test_an_administrator_may_allow_a_network_of_his_own() -> None:
    addresses = SinkAddresses(allowed=(IPv4Network("10.1.2.0/24"), IPv6Network("fd00:1::/64")))
    for sink in ("https://10.1.2.3/", "https://[::ffff:10.1.2.3]/", "https://[fd00:1::5]/"):
        check_sink(sink, addresses, allow_insecure=False)
    for sink in ("https://10.1.3.3/", "https://[fd00:2::5]/", "https://localhost/"):
        with pytest.raises(InvalidArgumentError):
            check_sink(sink, addresses, allow_insecure=False)
    assert SinkAddresses(allowed=(IPv4Network("127.0.0.0/8"),)).admits_host("localhost")


def test_a_link_local_address_with_its_zone_is_refused() -> None:
    assert not PUBLIC.admits(ip_address("fe80::1%eth0"))
