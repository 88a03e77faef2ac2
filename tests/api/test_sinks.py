"""Which URIs events may be sent to, outside the lab."""

from __future__ import annotations

import pytest

from api.errors import InvalidArgumentError
from api.sinks import check_sink, sink_authority


@pytest.mark.parametrize(
    "sink",
    [
        "https://example.com/sink",
        "HTTPS://example.com:8443/sink?a=%20#f",
        "https://10.1.2.3/sink",
        "https://[2001:db8::1]:8443/",
        "https://xn--exmple-cua.com/",
    ],
)
def test_https_elsewhere_is_good(sink: str) -> None:
    check_sink(sink, allow_insecure=False)


@pytest.mark.parametrize(
    "sink",
    [
        "http://example.com/sink",
        "https://localhost/sink",
        "https://a.localhost./sink",
        "https://127.0.0.1/sink",
        "https://127.1/sink",
        "https://2130706433/sink",
        "https://0x7f.1/sink",
        "https://[::1]/sink",
        "https://[::ffff:127.0.0.1]/sink",
        "https://0.0.0.0/sink",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/",
    ],
)
def test_http_and_our_own_machine_are_refused(sink: str) -> None:
    with pytest.raises(InvalidArgumentError):
        check_sink(sink, allow_insecure=False)


@pytest.mark.parametrize("sink", ["http://127.0.0.1:8080/sink", "http://localhost/", "https://[::1]/"])
def test_the_lab_admits_both(sink: str) -> None:
    check_sink(sink, allow_insecure=True)


def test_the_authority_is_what_calls_share() -> None:
    assert sink_authority("https://Example.com:443/a") == sink_authority("https://example.com/b?c")
    assert sink_authority("https://example.com:444/a") != sink_authority("https://example.com/a")
