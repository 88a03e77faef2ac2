"""Digest authentication of SIP (RFC 3261, section 22; RFC 8760), by MD5 or SHA-256."""

from __future__ import annotations

import hashlib
import re
from uuid import uuid4

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^,\s]+))')


def parameters(value: str) -> dict[str, str]:
    """Of a challenge or its answer: `Digest realm="lab", nonce="1"`."""
    return {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(value)}


def response_of(authorization: str, *, password: str, method: str) -> str:
    """What the `response` of an Authorization must be if whoever sent it knows the password."""
    said = parameters(authorization)
    algorithm = said.get("algorithm", "MD5").replace("-", "").lower()

    def digest(*parts: str) -> str:
        return hashlib.new(algorithm, ":".join(parts).encode()).hexdigest()

    secret = digest(said["username"], said["realm"], password)
    asked = digest(method, said["uri"])
    if "qop" in said:
        return digest(secret, said["nonce"], said["nc"], said["cnonce"], said["qop"], asked)
    return digest(secret, said["nonce"], asked)


def authorization(challenge: str, *, username: str, password: str, method: str, uri: str) -> str:
    """The Authorization that answers a WWW-Authenticate."""
    asked = parameters(challenge)
    qop = f', qop=auth, nc=00000001, cnonce="{uuid4().hex}"' if "qop" in asked else ""
    value = (
        f'Digest username="{username}", realm="{asked["realm"]}", nonce="{asked["nonce"]}", uri="{uri}", '
        f"algorithm={asked.get('algorithm', 'MD5')}{qop}"
    )
    return f'{value}, response="{response_of(value, password=password, method=method)}"'
