"""What PJSIP's description of a request tells of it; tests/sip/test_scanners.py shows the refusals."""

from __future__ import annotations

import pytest

from engine.stray_requests import method_of


@pytest.mark.parametrize(
    ("description", "method"),
    [
        (b"Request msg INVITE/cseq=1 (rdata0x1)", b"INVITE"),
        (b"Request msg OPTIONS/cseq=7 (rdata0x1)", b"OPTIONS"),
        (b"Request msg !odd-Method.%`'~/cseq=1 (rdata0x1)", b"!odd-Method.%`'~"),
        (b"rdata0x1", b""),
    ],
)
def test_the_method_of_a_request_is_read_from_its_description(description: bytes, method: bytes) -> None:
    assert method_of(description) == method
