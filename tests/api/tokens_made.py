"""Access tokens with any claim the tests need, signed by any key."""

from __future__ import annotations

import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

ALL_SCOPES = (
    "click-to-dial:calls:create click-to-dial:calls:read "
    "click-to-dial:calls:delete click-to-dial:recordings:read"
)


def make_token(
    key: Key, issuer: str, *, header: dict[str, Any] | None = None, drop: str | None = None, **claims: Any
) -> str:
    """A token that is valid but for what the arguments change."""
    now = int(time.time())
    content: dict[str, Any] = {
        "iss": issuer,
        "sub": "shop",
        "aud": "dialbridge",
        "exp": now + 300,
        "iat": now,
        "client_id": "shop",
        "scope": ALL_SCOPES,
        **claims,
    }
    if drop is not None:
        del content[drop]
    full_header = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid, **(header or {})}
    registry = JWSRegistry(algorithms=[full_header["alg"]], strict_check_header=False)
    return jwt.encode(full_header, content, key, registry=registry)
