"""One call of the older generation, from begin to recording, with the lab's phones and an application."""

from __future__ import annotations

import base64
import io
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import soundfile

from tests.api.sink_server import SinkServer
from tests.end_to_end.product import Product
from tests.support.audio import has_tone
from tests.support.phones import running_phones
from tests.support.sip_client import SipText
from tests.support.stack_settings import ENTERPRISE_NUMBER, Overrides
from tests.support.waiting import wait_until

TAKEN = b'{"code": "0000000", "description": "Success"}'
SUCCESS = {"code": "0000000", "description": "Success"}


@pytest.fixture
def application() -> Iterator[SinkServer]:
    server = SinkServer()
    server.bodies.default_factory = lambda: deque([TAKEN])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def product(application: SinkServer, tmp_path: Path) -> Iterator[Product]:
    v1 = {"app_server": application.root, "username": "lab", "password": "secret", "recording": True}
    overrides: Overrides = {
        "enterprises": {"acme": {"home_country": "GB", "v1": v1}},
        "quality": {"interval": 0.5},
    }
    with (
        running_phones(tmp_path / "phones") as phones,
        Product(tmp_path, trunk_port=phones.sip_port, overrides=overrides) as running,
    ):
        yield running


def test_a_call_is_begun_told_of_released_and_downloaded(product: Product, application: SinkServer) -> None:
    headers = {"Authorization": f"Bearer {product.rest.token()}"}
    with httpx2.Client(
        base_url=f"{product.api_root}/clicktodial/v1", headers=headers, timeout=15, trust_env=False
    ) as http:

        def post(path: str, **body: str) -> Any:
            answer = http.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        numbers = {"caller": "07700900602", "callee": "447700900601"}
        begun = post("/clicktodialbegin", sponsor="01632960000", **numbers)
        call_id = begun["result"]["callidentifier"]
        path = f"/clicktodial/v1/clicktodialstatusnotify/{call_id}"
        application.wait_for(path, 3)
        wait_until(lambda: has_talked(product, call_id), what="talk")
        assert post(f"/clicktodialrelease/{call_id}", operation="Continue") == SUCCESS
        assert product.status(call_id) == "connected"
        assert post(f"/clicktodialrelease/{call_id}", operation="EndCall") == SUCCESS

        events = [one.event for one in application.wait_for(path, 4)]
        assert [one["status"] for one in events] == [
            "CallingCaller",
            "CallingCallee",
            "Connected",
            "Disconnected",
        ]
        assert {(one["caller"], one["callee"]) for one in events} == {("447700900602", "447700900601")}
        last = events[-1]
        assert (last["reason"], last["recordingResult"]) == ("HangUp", "Success")
        assert last["callDuration"] == product.call(call_id).duration

        downloaded = post(f"/recordingdownload/{call_id}", recordingId=last["recordingId"])
    wav = base64.b64decode(downloaded["filedata"], validate=True)
    assert wav == product.rest.wav(call_id)
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="int16")
    heard = samples[rate // 2 : rate * 3 // 2]
    assert has_tone(heard, 440)
    assert has_tone(heard, 1000)

    invites = [
        SipText(one.text) for one in product.sip_messages(call_id) if one.start_line.startswith("INVITE")
    ]
    assert len(invites) == 2
    assert all(f"sip:{ENTERPRISE_NUMBER}@" in invite.header("From") for invite in invites)
    product.wait_idle()


def has_talked(product: Product, call_id: str) -> bool:
    quality = product.call(call_id).callee_quality
    return quality is not None and quality.packets_received >= 100
