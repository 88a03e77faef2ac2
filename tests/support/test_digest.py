"""Digest authentication, against the examples of the RFCs."""

from __future__ import annotations

import pytest

from tests.support.digest import authorization, parameters, response_of

# RFC 7616, section 3.9.1 (the same computation as SIP's).
MUFASA = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={algorithm}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    value = MUFASA.format(algorithm=algorithm)
    assert response_of(value, password="Circle of Life", method="GET") == response


def test_an_answer_to_an_old_challenge_has_no_qop() -> None:
    # RFC 2069's successor without qop: RFC 2617, section 3.2.2.1.
    value = authorization(
        'Digest realm="lab", nonce="1"', username="u", password="p", method="INVITE", uri="sip:x"
    )
    assert "qop" not in parameters(value)
    assert parameters(value)["response"] == response_of(value, password="p", method="INVITE")
    assert parameters(value)["response"] != response_of(value, password="q", method="INVITE")
