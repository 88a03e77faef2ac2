"""The demonstration's REST client: what a customer's program does."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import httpx2

from dialbridge.demo.failure import DemoFailedError
from dialbridge.demo.lab_process import LabAccess

BASE = "/click-to-dial/v0.2"
SCOPES = (
    "click-to-dial:calls:create click-to-dial:calls:read "
    "click-to-dial:calls:delete click-to-dial:recordings:read"
)
TIMEOUT = 15.0
PART = "the REST API"


class RestClient:
    """Every method raises DemoFailedError for an answer that is not the specified one."""

    def __init__(self, lab: LabAccess) -> None:
        self._lab = lab
        # No proxy of the environment: everything is on this machine.
        self._http = httpx2.Client(base_url=lab.api_root + BASE, timeout=TIMEOUT, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def authenticate(self) -> None:
        """client_credentials (RFC 6749, section 4.4)."""
        response = self._send(
            "POST",
            self._lab.token_url,
            200,
            data={"grant_type": "client_credentials", "scope": SCOPES},
            auth=(self._lab.client_id, self._lab.client_secret),
        )
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def create_call(self, caller: str, callee: str, *, sink: str, sink_token: str) -> str:
        """The id of a call that is recorded."""
        expires = datetime.now(UTC) + timedelta(hours=1)
        response = self._send(
            "POST",
            "/calls",
            201,
            json={
                "caller": {"number": caller},
                "callee": {"number": callee},
                "recordingEnabled": True,
                "sink": sink,
                "sinkCredential": {
                    "credentialType": "ACCESSTOKEN",
                    "accessToken": sink_token,
                    "accessTokenExpiresUtc": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "accessTokenType": "bearer",
                },
            },
        )
        return str(response.json()["callId"])

    def call_state(self, call_id: str) -> str:
        return str(self._send("GET", f"/calls/{call_id}", 200).json()["status"])

    def delete_call(self, call_id: str) -> None:
        self._send("DELETE", f"/calls/{call_id}", 204)

    def recording(self, call_id: str) -> bytes:
        """The recording, as a WAV file."""
        content = self._send("GET", f"/calls/{call_id}/recording", 200).json()
        if content.get("contentType") != "audio/wav" or content.get("callId") != call_id:
            raise DemoFailedError(
                PART, f"described the recording as {content.get('contentType')}", process="api"
            )
        return base64.b64decode(content["content"], validate=True)

    def _send(self, method: str, url: str, expected: int, **options: object) -> httpx2.Response:
        try:
            response: httpx2.Response = self._http.request(method, url, **options)  # type: ignore[arg-type]
        except httpx2.TransportError as error:
            raise DemoFailedError(PART, f"did not answer {method} {url}: {error}", process="api") from error
        if response.status_code != expected:
            raise DemoFailedError(
                PART,
                f"answered {method} {url} with {response.status_code} instead of {expected}: "
                f"{response.text[:300]}",
                process="api",
            )
        return response
