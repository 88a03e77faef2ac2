"""A REST client of the tests."""

from __future__ import annotations

import base64
from types import TracebackType

import httpx2

from tests.support.waiting import wait_until

BASE = "/click-to-dial/v0.2"
ALL_SCOPES = (
    "click-to-dial:calls:create click-to-dial:calls:read "
    "click-to-dial:calls:delete click-to-dial:recordings:read"
)
SINK_TOKEN = "token-of-the-sink"
TERMINAL = ("disconnected", "failed")


class CallsClient:
    """Hands out responses as they come; `dial`, `state`, `wait_state` and `wav` judge them."""

    def __init__(self, api_root: str, client_id: str, client_secret: str, *, base: str = BASE) -> None:
        self.api_root = api_root
        self._credentials = (client_id, client_secret)
        self._http = httpx2.Client(base_url=api_root + base, timeout=15.0, trust_env=False)

    def __enter__(self) -> CallsClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def token(self, scope: str = ALL_SCOPES) -> str:
        """A new access token by client_credentials."""
        response = self._http.post(
            f"{self.api_root}/oauth2/token",
            data={"grant_type": "client_credentials", "scope": scope},
            auth=self._credentials,
        )
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def authenticate(self, scope: str = ALL_SCOPES) -> CallsClient:
        """Use a new token from now on."""
        self._http.headers["Authorization"] = f"Bearer {self.token(scope)}"
        return self

    def create(
        self, caller: str, callee: str, *, sink: str | None = None, recording: bool | None = None
    ) -> httpx2.Response:
        body: dict[str, object] = {"caller": {"number": caller}, "callee": {"number": callee}}
        if recording is not None:
            body["recordingEnabled"] = recording
        if sink is not None:
            body["sink"] = sink
            body["sinkCredential"] = {
                "credentialType": "ACCESSTOKEN",
                "accessToken": SINK_TOKEN,
                "accessTokenExpiresUtc": "2099-01-01T00:00:00Z",
                "accessTokenType": "bearer",
            }
        return self._http.post("/calls", json=body)

    def dial(
        self, caller: str, callee: str, *, sink: str | None = None, recording: bool | None = None
    ) -> str:
        """Create a call that must be accepted; its id."""
        response = self.create(caller, callee, sink=sink, recording=recording)
        assert response.status_code == 201, response.text
        return str(response.json()["callId"])

    def get(self, call_id: str) -> httpx2.Response:
        return self._http.get(f"/calls/{call_id}")

    def delete(self, call_id: str) -> httpx2.Response:
        return self._http.delete(f"/calls/{call_id}")

    def recording(self, call_id: str) -> httpx2.Response:
        return self._http.get(f"/calls/{call_id}/recording")

    def wav(self, call_id: str) -> bytes:
        """The recording's content; raises AssertionError if there is none."""
        response = self.recording(call_id)
        assert response.status_code == 200, response.text
        return base64.b64decode(response.json()["content"], validate=True)

    def state(self, call_id: str) -> str:
        response = self.get(call_id)
        assert response.status_code == 200, response.text
        return str(response.json()["status"])

    def wait_state(self, call_id: str, state: str, timeout: float = 15.0) -> None:
        """Until GET says so; raises AssertionError at once when the call has ended otherwise."""

        def reached() -> bool:
            current = self.state(call_id)
            assert current == state or current not in TERMINAL, f"the call is {current}, not {state}"
            return current == state

        wait_until(reached, timeout, f"state {state}")
