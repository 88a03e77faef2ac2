"""A sink's authorization server: a real HTTP server that verifies assertions and gives access tokens."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.http_server import LocalHttpServer

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenServer(LocalHttpServer):
    def __init__(self) -> None:
        self.keys: KeySet | None = None
        """The platform's, as it publishes them."""
        self.assertions: list[dict[str, Any]] = []
        """Claims of those with a good signature."""
        self.answers: list[tuple[int, dict[str, Any]]] = []
        """The next ones; then a new token each time."""
        super().__init__()

    @property
    def uri(self) -> str:
        return f"{self.root}/token"

    def grant(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if self.answers:
            return self.answers.pop(0)
        if form.get("grant_type") != "client_credentials" or form.get("client_assertion_type") != JWT_BEARER:
            return 400, {"error": "invalid_request"}
        assert self.keys is not None
        self.assertions.append(jwt.decode(form["client_assertion"], self.keys, algorithms=["ES256"]).claims)
        token = f"token-{len(self.assertions)}"
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # http.server's name
                form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                status, answer = server.grant(form)
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler
