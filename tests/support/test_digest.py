"""Digest authentication, against the examples of the RFCs."""

from __future__ import annotations

import pytest

from tests.support.digest import authorization, credentials, response_of

# RFC 7616, section 3.9.1 (the computation is also SIP's).
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
    given = credentials(MUFASA.format(algorithm=algorithm))
    assert response_of(given, "Circle of Life", "GET") == response


def test_a_challenge_without_qop_is_answered_as_rfc_2069_says() -> None:
    given = credentials(authorization('Digest realm="lab", nonce="1"', "user", "pass", "INVITE", "sip:x"))
    assert "qop" not in given
    # MD5 of MD5(user:lab:pass), 1, MD5(INVITE:sip:x).
    assert given["response"] == "569ec1f5df102222d885fd02ce86d62a"


def test_an_answer_tells_which_password_was_known() -> None:
    given = credentials(
        authorization('Digest realm="lab", nonce="1", qop="auth"', "user", "pass", "INVITE", "sip:x")
    )
    assert given["response"] == response_of(given, "pass", "INVITE")
    assert given["response"] != response_of(given, "past", "INVITE")
