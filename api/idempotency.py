"""A client that got no answer may send its request again (draft-ietf-httpapi-idempotency-key-header-07)."""

from __future__ import annotations

import hashlib
import re

from fastapi import Request
from pydantic import BaseModel

from api.errors import InvalidArgumentError
from state.calls import Idempotency

HEADER = "Idempotency-Key"
LIFETIME = 24 * 3600
"""Seconds that a key is remembered."""

_KEY = re.compile(
    r'"(?P<quoted>[\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|(?P<bare>[\x21\x23-\x5b\x5d-\x7e]{1,255})'
)
"""A string of RFC 9651, section 3.3.3, without escapes; most clients leave out its quotation marks."""


def idempotency_of(request: Request, content: BaseModel) -> Idempotency | None:
    """None without the header. Raises InvalidArgumentError."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    found = _KEY.fullmatch(given[0].strip()) if len(given) == 1 else None
    if found is None:
        raise InvalidArgumentError(f"{HEADER}: must be one string of 1 to 255 visible ASCII characters")
    # Only a hash: the content may hold an access token.
    fingerprint = hashlib.sha256(content.model_dump_json().encode()).hexdigest()
    return Idempotency(found["quoted"] or found["bare"], fingerprint, LIFETIME)
