"""What `make fuzz` asks for, what it knows of the lab, and which answers it has to see."""

from __future__ import annotations

from bench.schemathesis_run import Subject, Values
from dialbridge.lab_settings import BLACKLISTED, NOT_RECORDED

CAMARA = Subject("camara", "/openapi.json", "/click-to-dial/v0.2")
V1 = Subject("v1", "/clicktodial/v1/openapi.json", "/clicktodial/v1")
# Without links.
PLATFORM = Subject(
    "platform", "/openapi-platform.json", "", paths="^/(?!admin/)", phases="examples,coverage,fuzzing"
)
ADMINISTRATION = Subject("administration", "/openapi-platform.json", "", paths="^/admin/")

PHONES = tuple(f"4477009000{phone}" for phone in ("00", "01", "10", "11", "20", "21"))
MADE_UP = ("initech", "Initech.2", "hooli_3")
"""Enterprises."""


def calls(ended: tuple[str, ...], sink: str) -> dict[str, Values]:
    numbers = (*(f"+{phone}" for phone in PHONES), BLACKLISTED, NOT_RECORDED)
    return {
        "path.callId": Values(ended, 0.3),
        # Always: nobody else's server gets our events.
        "body.sink": Values((sink,), 1.0),
        "body.callee.number": Values(numbers, 0.5),
    }


def v1_calls(enterprise_number: str, recorded: str) -> dict[str, Values]:
    national = "0" + enterprise_number.removeprefix("+44")
    return {
        "path.callidentifier": Values((recorded,), 0.5),
        "body.recordingId": Values((recorded,), 0.7),
        "body.sponsor": Values((national, enterprise_number.removeprefix("+")), 0.9),
        "body.caller": Values(PHONES[:2], 0.7),
        "body.callee": Values((*PHONES[2:4], BLACKLISTED.removeprefix("+")), 0.7),
    }


def administration() -> dict[str, Values]:
    return {
        "path.enterpriseId": Values(MADE_UP, 0.7),
        "path.number": Values(("+447700900001", "+447700900002"), 0.7),
        "path.clientId": Values(("robot", "shop"), 0.7),
    }


SEEN: dict[tuple[str, str], set[int]] = {
    ("POST", "/click-to-dial/v0.2/calls"): {201, 400, 401, 409, 415, 422},
    ("GET", "/click-to-dial/v0.2/calls/{callId}"): {200, 400, 401, 404},
    ("DELETE", "/click-to-dial/v0.2/calls/{callId}"): {204, 400, 401, 404, 409},
    ("GET", "/click-to-dial/v0.2/calls/{callId}/recording"): {200, 400, 401, 404},
    ("POST", "/clicktodial/v1/clicktodialbegin"): {200, 400, 403},
    ("POST", "/clicktodial/v1/clicktodialrelease/{callidentifier}"): {200, 400},
    ("POST", "/clicktodial/v1/recordingdownload/{callidentifier}"): {200, 400},
    ("GET", "/admin/v1/enterprises"): {200, 400, 401, 403},
    ("GET", "/admin/v1/enterprises/{enterpriseId}"): {200, 401, 403},
    ("GET", "/admin/v1/enterprises/{enterpriseId}/pool"): {401, 403, 404},
    ("POST", "/admin/v1/enterprises/{enterpriseId}/pool/top-ups"): {400, 401, 403, 404},
    ("PUT", "/admin/v1/enterprises/{enterpriseId}"): {200, 201, 400, 401, 403, 412, 415},
    ("PATCH", "/admin/v1/enterprises/{enterpriseId}"): {200, 400, 401, 403},
    ("GET", "/admin/v1/enterprises/{enterpriseId}/members"): {200, 400, 401, 403},
    ("POST", "/admin/v1/enterprises/{enterpriseId}/members"): {200, 400, 401, 403},
    ("PUT", "/admin/v1/enterprises/{enterpriseId}/members/{number}"): {204, 401, 403},
    ("DELETE", "/admin/v1/enterprises/{enterpriseId}/members/{number}"): {204, 401, 403, 404},
    ("GET", "/admin/v1/enterprises/{enterpriseId}/clients"): {200, 401, 403},
    ("PUT", "/admin/v1/enterprises/{enterpriseId}/clients/{clientId}"): {204, 401, 403},
    ("DELETE", "/admin/v1/enterprises/{enterpriseId}/clients/{clientId}"): {204, 401, 403, 404},
}
"""Without these the run says little; a short one, too, comes to them."""
