"""Where a 3xx may lead."""

from __future__ import annotations

import pytest

from config.settings import PolicySettings
from engine.redirects import permitted_number

CALLER, CALLEE, ELSEWHERE = "+447700900001", "+447700900002", "+447700900003"
BLACKLISTED, UNRECORDED = "+447700900998", "+447700900997"
POLICY = PolicySettings(blacklist=frozenset({BLACKLISTED}), no_recording=frozenset({UNRECORDED}))


def follow(*targets: str, recording: bool = False) -> str | None:
    return permitted_number(
        targets,
        trunk_hosts={"sbc.example", "192.0.2.1"},
        policy=POLICY,
        taken={CALLER, CALLEE},
        recording=recording,
    )


@pytest.mark.parametrize(
    "target",
    [
        f"sip:{ELSEWHERE}@sbc.example",
        f"sip:{ELSEWHERE}@sbc.example:5060;user=phone",
        f"SIP:{ELSEWHERE}@SBC.example?Subject=x",
        f"sip:{ELSEWHERE};npdi@192.0.2.1:5070;transport=udp",
        f"sips:{ELSEWHERE}@sbc.example",
        f"tel:{ELSEWHERE}",
        f"tel:{ELSEWHERE};phone-context=+44",
        "tel:+44-7700(900).003",
    ],
)
def test_a_number_behind_our_trunk_is_followed(target: str) -> None:
    assert follow(target) == ELSEWHERE


@pytest.mark.parametrize(
    "target",
    [
        f"sip:{ELSEWHERE}@evil.example",
        f"sip:{ELSEWHERE}@sbc.example.evil.example",
        f"sip:{ELSEWHERE}@evil.example?Route=sbc.example",
        f"sip:{ELSEWHERE}@evil.example;maddr=sbc.example",
        f"sip:{BLACKLISTED}@sbc.example",
        f"sip:{CALLER}@sbc.example",
        f"sip:{CALLEE}@sbc.example",
        "sip:alice@sbc.example",
        "sip:07700900003@sbc.example",
        f"sip:x{ELSEWHERE}@sbc.example",
        "sip:sbc.example",
        f"sip:{ELSEWHERE}@evil.example@sbc.example",
        f"sip:{ELSEWHERE}:secret@sbc.example",
        f"mailto:{ELSEWHERE}@sbc.example",
        "tel:07700900003;phone-context=+44",
        f"tel:{ELSEWHERE}x",
        "http://sbc.example/",
        "",
    ],
)
def test_everything_else_is_a_failure(target: str) -> None:
    assert follow(target) is None


def test_the_first_permitted_one_is_taken() -> None:
    assert follow("sip:alice@sbc.example", f"tel:{ELSEWHERE}", "tel:+447700900004") == ELSEWHERE


def test_a_recorded_call_does_not_go_where_recording_is_forbidden() -> None:
    assert follow(f"tel:{UNRECORDED}") == UNRECORDED
    assert follow(f"tel:{UNRECORDED}", recording=True) is None
