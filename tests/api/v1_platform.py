"""An api with enterprises of the older generation, and its client."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
from joserfc.jwk import ECKey

from config.settings import PrivacySettings
from state.connection import connect
from state.enterprises import EnterpriseState, EnterpriseStore
from state.keys import Keys
from state.vault import Vault
from tests.api.configuration import SECRET, write_config
from tests.api.played_engine import PlayedEngine, new_number
from tests.api.processes import ApiProcess
from tests.api.tokens_made import ALL_SCOPES

V1 = "/clicktodial/v1"
CAMARA = "/click-to-dial/v0.2"
NUMBER, FURTHER_NUMBER = "+442079460000", "+442079460009"
MEMBER = "+447700900110"
ENTERPRISES: list[dict[str, Any]] = [
    {
        "id": "acme",
        "number": NUMBER,
        "further_numbers": [FURTHER_NUMBER],
        "home_country": "GB",
        "callers": "anyone",
        "v1": {"recording": True},
    },
    {"id": "globex", "number": NUMBER, "callers": "anyone"},
    {"id": "club", "number": NUMBER, "members": [MEMBER], "home_country": "GB"},
    {"id": "late", "number": NUMBER, "callers": "anyone"},
    {"id": "keeper", "number": NUMBER, "callers": "anyone", "recording": "always"},
    {"id": "busy", "number": NUMBER, "callers": "anyone", "max_calls": 0},
    {"id": "hasty", "number": NUMBER, "callers": "anyone", "max_cps": 0.001},
]
CLIENTS = [
    {"id": "shop", "secret": SECRET, "enterprise": "acme"},
    *({"id": one["id"], "secret": SECRET, "enterprise": one["id"]} for one in ENTERPRISES[1:]),
    {"id": "stray", "secret": SECRET},
]


def fresh() -> str:
    """A number that no other test uses, as this generation writes it."""
    return new_number().removeprefix("+")


@dataclass
class V1Platform:
    process: ApiProcess
    http: httpx2.Client
    engine: PlayedEngine
    folder: Path
    redis_url: str
    prefix: str

    @property
    def signing_key(self) -> ECKey:
        return ECKey.import_key(json.loads((self.folder / "issuer-key.json").read_text()))

    def bearer(self, client_id: str = "shop", scope: str = ALL_SCOPES) -> dict[str, str]:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": SECRET}
        answer = self.http.post("/oauth2/token", data={**form, "scope": scope})
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx2.Response:
        headers = self.bearer() if headers is None else headers
        return self.http.post(f"{V1}/{path}", json=body, headers=headers)

    def begin(self, client_id: str = "shop", **changes: Any) -> httpx2.Response:
        """Between two fresh numbers."""
        body = {"sponsor": "02079460000", "caller": fresh(), "callee": fresh(), **changes}
        if client_id != "shop":
            body["sponsor"] = changes.get("sponsor", NUMBER.removeprefix("+"))
        return self.post("clicktodialbegin", body, self.bearer(client_id))

    def begun(self, **changes: Any) -> str:
        answer = self.begin(**changes)
        assert (answer.status_code, answer.json()["code"]) == (200, "0000000"), answer.text
        return str(answer.json()["result"]["callidentifier"])

    def release(
        self, call_id: str, operation: Any = "EndCall", headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        return self.post(f"clicktodialrelease/{call_id}", {"operation": operation}, headers)

    def download(self, call_id: str, recording_id: Any) -> httpx2.Response:
        return self.post(f"recordingdownload/{call_id}", {"recordingId": recording_id})

    def camara(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        return self.http.request(method, f"{CAMARA}/calls{path}", json=body, headers=self.bearer())

    def store(self, call_id: str, content: bytes) -> str:
        """A recording's file; its path for the call's record."""
        name = f"2026-11-22/{call_id}.wav"
        path = self.folder / "recordings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def suspend(self, enterprise_id: str) -> None:
        async def suspend() -> None:
            async with connect(self.redis_url) as redis:
                store = EnterpriseStore(redis, Keys(self.prefix), Vault(PrivacySettings()))
                enterprise = await store.get(enterprise_id)
                assert enterprise is not None
                await store.save(replace(enterprise, state=EnterpriseState.SUSPENDED))

        self.engine.run(suspend())


def write_v1_config(folder: Path, redis_url: str, prefix: str, **changes: Any) -> Path:
    everything = {"enterprises": ENTERPRISES, "clients": CLIENTS, **changes}
    return write_config(folder, redis_url, prefix, changes=everything)


def answer_of(response: httpx2.Response) -> tuple[int, str, str]:
    """Status, code and description of a refusal, which has nothing else to say."""
    assert response.headers["content-type"] == "application/json"
    body = json.loads(response.content)
    assert set(body) == {"code", "description"}
    return response.status_code, body["code"], body["description"]
