"""Where a 3xx may lead."""

from __future__ import annotations

import pytest

from config import EnterprisePolicy, PolicySettings
from engine.redirects import permitted_number
from policy.rules import NumberRules, Origin, Party, Refusal, Rule

CALLER, CALLEE, ELSEWHERE = "+447700900001", "+447700900002", "+447700900003"
BLACKLISTED, UNRECORDED = "+447700900998", "+447700900997"
PREMIUM = "+449012345678"
POLICY = PolicySettings(blacklist=frozenset({BLACKLISTED}), no_recording=frozenset({UNRECORDED}))


def follow(
    *targets: str,
    recording: bool = False,
    enterprise: EnterprisePolicy | None = None,
    refusals: list[tuple[str, Refusal]] | None = None,
) -> str | None:
    heard = [] if refusals is None else refusals
    return permitted_number(
        targets,
        party=Party.CALLEE,
        trunk_hosts={"sbc.example", "192.0.2.1"},
        rules=NumberRules(POLICY, enterprise or EnterprisePolicy()),
        taken={CALLER, CALLEE},
        recording=recording,
        refused=lambda number, refusal: heard.append((number, refusal)),
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
        f"tel:{PREMIUM}",
        "tel:+881612345678",
        "tel:+44999",
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


def test_the_enterprise_s_rules_hold_too() -> None:
    abroad = EnterprisePolicy(countries=frozenset({"DE"}))
    assert follow(f"tel:{ELSEWHERE}", enterprise=abroad) is None
    assert follow(f"tel:{ELSEWHERE}", "tel:+493012345678", enterprise=abroad) == "+493012345678"


def test_each_refusal_is_told_with_its_rule() -> None:
    refusals: list[tuple[str, Refusal]] = []
    own = EnterprisePolicy(deny=frozenset({"+49"}))
    targets = [f"tel:{number}" for number in (CALLER, PREMIUM, "+493012345678", UNRECORDED, ELSEWHERE)]
    assert follow(*targets, recording=True, enterprise=own, refusals=refusals) == ELSEWHERE
    assert refusals == [
        (PREMIUM, Refusal(Rule.NUMBER_CLASS, Origin.PLATFORM, Party.CALLEE)),
        ("+493012345678", Refusal(Rule.PREFIX, Origin.ENTERPRISE, Party.CALLEE)),
        (UNRECORDED, Refusal(Rule.RECORDING, Origin.PLATFORM, Party.CALLEE)),
    ]
