"""Digest authentication as a trunk demands it (RFC 3261, section 22; RFC 7616; RFC 8760)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from uuid import uuid4

from tests.support.sip_client import SipText

_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
HEADERS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
"""By status: who asks, and who answers."""


@dataclass(frozen=True, slots=True)
class Challenge:
    status: int = 401
    algorithm: str = "MD5"
    qop: str | None = "auth"
    """None: as in RFC 2069."""
    realm: str = "trunk.example"
    nonce: str = field(default_factory=lambda: uuid4().hex)
    is_stale: bool = False

    @property
    def header(self) -> str:
        parameters = [f'realm="{self.realm}"', f'nonce="{self.nonce}"', f"algorithm={self.algorithm}"]
        parameters += [f'qop="{self.qop}"'] if self.qop else []
        parameters += ["stale=true"] if self.is_stale else []
        return f"{HEADERS[self.status][0]}: Digest {', '.join(parameters)}"

    def is_met_by(self, request: SipText, username: str, password: str) -> bool:
        """Whether one of the request's credentials is the answer to this challenge."""
        return any(
            self._is_right(given, request.method, request.start_line.split()[1], username, password)
            for given in (credentials(value) for value in request.headers(HEADERS[self.status][1]))
        )

    def _is_right(self, given: dict[str, str], method: str, uri: str, username: str, password: str) -> bool:
        expected = {"username": username, "realm": self.realm, "nonce": self.nonce, "uri": uri}
        if any(given.get(name) != value for name, value in expected.items()):
            return False
        if given.get("algorithm", "MD5").upper() != self.algorithm or given.get("qop") != self.qop:
            return False
        return given.get("response") == response_of(given, password, method)


def credentials(value: str) -> dict[str, str]:
    """The parameters of an Authorization header, or of the challenge it answers."""
    return {name: quoted or plain for name, quoted, plain in _PARAMETER.findall(value)}


def response_of(given: dict[str, str], password: str, method: str) -> str:
    """What the `response` of credentials must be if whoever sent them knows the password."""
    algorithm = _HASHES[given.get("algorithm", "MD5").upper()]

    def digest(*parts: str) -> str:
        return algorithm(":".join(parts).encode()).hexdigest()

    between = [given["nonce"]]
    if "qop" in given:
        between += [given["nc"], given["cnonce"], given["qop"]]
    secret = digest(given["username"], given["realm"], password)
    return digest(secret, *between, digest(method, given["uri"]))


def authorization(challenge: str, username: str, password: str, method: str, uri: str) -> str:
    """The Authorization that answers a WWW-Authenticate."""
    asked = credentials(challenge)
    given = {"username": username, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    given["algorithm"] = asked.get("algorithm", "MD5")
    if "qop" in asked:
        given |= {"qop": "auth", "nc": "00000001", "cnonce": uuid4().hex}
    given["response"] = response_of(given, password, method)
    bare = {"algorithm", "qop", "nc"}
    return "Digest " + ", ".join(f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in given.items())
