"""What each rule refuses, and that an enterprise's rules only ever refuse more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import EnterprisePolicy, NumberClass, PolicySettings
from policy.rules import NumberRules, Origin, Party, Refusal, Rule, longest_prefix

BRITISH, GERMAN, PREMIUM, SHARED, SATELLITE = (
    "+442079460000",
    "+493012345678",
    "+449012345678",
    "+491801234567",
    "+881612345678",
)
ALL = frozenset(NumberClass)


def rule(number: str, platform: PolicySettings | None = None, **enterprise: object) -> Rule | None:
    refusal = rules(platform, **enterprise).check(number, Party.CALLEE)
    return None if refusal is None else refusal.rule


def rules(platform: PolicySettings | None = None, **enterprise: object) -> NumberRules:
    return NumberRules(platform or PolicySettings(), EnterprisePolicy.model_validate(enterprise))


@pytest.mark.parametrize("number", ["+12345678", "+12345", "+447700900000", BRITISH, "+123456789012345"])
def test_every_ordinary_number_on_the_pattern_passes_the_defaults(number: str) -> None:
    assert rule(number) is None


@pytest.mark.parametrize("number", ["", "12345678", "+02345678", "+1234", "+1234567890123456", "+12345678\n"])
def test_a_number_off_the_pattern(number: str) -> None:
    assert rule(number) is Rule.E164


def test_a_number_that_no_numbering_plan_has() -> None:
    strict = PolicySettings(require_valid=True)
    assert rule("+12345678", strict) is Rule.NUMBERING_PLAN
    assert rule("+12345678", require_valid=True) is Rule.NUMBERING_PLAN
    assert rule(BRITISH, strict) is None


def test_a_blacklisted_number() -> None:
    assert rule(BRITISH, PolicySettings(blacklist=frozenset({BRITISH}))) is Rule.BLACKLIST
    assert rule(BRITISH, blacklist=[BRITISH]) is Rule.BLACKLIST
    assert rule(GERMAN, blacklist=[BRITISH]) is None


@pytest.mark.parametrize(
    ("allow", "deny", "passes"),
    [
        ([], ["+44"], False),
        (["+4420"], ["+44"], True),
        (["+44"], ["+4420"], False),
        (["+44"], ["+"], True),
        (["+49"], ["+"], False),
        (["+49"], [], True),
        (["+44", BRITISH], ["+44207"], True),
        (["+44207"], ["+44", BRITISH], False),
    ],
)
def test_the_longest_prefix_decides(allow: list[str], deny: list[str], passes: bool) -> None:
    expected = None if passes else Rule.PREFIX
    assert rule(BRITISH, allow=allow, deny=deny) is expected
    assert rule(BRITISH, PolicySettings(allow=frozenset(allow), deny=frozenset(deny))) is expected


def test_a_prefix_that_the_enterprise_allows_is_still_denied_by_the_platform() -> None:
    refusal = rules(PolicySettings(deny=frozenset({"+44"})), allow=["+4420"]).check(BRITISH, Party.CALLER)
    assert refusal == Refusal(Rule.PREFIX, Origin.PLATFORM, Party.CALLER)


def test_a_prefix_may_not_be_both_allowed_and_denied() -> None:
    with pytest.raises(ValueError, match=r"allow and deny both name \+44"):
        EnterprisePolicy(allow=frozenset({"+44"}), deny=frozenset({"+44"}))


def test_a_country_that_is_not_listed() -> None:
    assert rule(GERMAN, countries=["GB"]) is Rule.COUNTRY
    assert rule(BRITISH, countries=["GB"]) is None
    assert rule(GERMAN, PolicySettings(countries=frozenset({"GB"})), countries=["DE"]) is Rule.COUNTRY
    assert rule(BRITISH, PolicySettings(countries=frozenset({"GB", "DE"})), countries=["DE"]) is Rule.COUNTRY
    assert rule("+18765551234", countries=["US"]) is Rule.COUNTRY
    assert rule("+80012345678", countries=["GB"]) is Rule.COUNTRY, "of no country"


def test_classes_are_denied_unless_the_platform_allows_them() -> None:
    for number in (PREMIUM, SHARED, SATELLITE, "+44999", "+999123456", "+447012345678", "+88213000000"):
        assert rule(number) is Rule.NUMBER_CLASS
        assert rule(number, classes=list(ALL)) is Rule.NUMBER_CLASS
        assert rule(number, allow=[number]) is Rule.NUMBER_CLASS, "a prefix opens no class"
        assert rule(number, PolicySettings(classes=ALL)) is None
    assert rule("+443069990000") is None, "universal access"


def test_a_class_that_may_be_granted_is_allowed_where_the_enterprise_names_it() -> None:
    platform = PolicySettings(grantable_classes=frozenset({NumberClass.PREMIUM_RATE}))
    assert rule(PREMIUM, platform) is Rule.NUMBER_CLASS
    assert rule(PREMIUM, platform, classes=["premium_rate"]) is None
    assert rule(SATELLITE, platform, classes=["premium_rate", "satellite"]) is Rule.NUMBER_CLASS


def test_an_enterprise_may_have_fewer_classes_than_the_platform_allows() -> None:
    platform = PolicySettings(classes=ALL)
    refusal = rules(platform, classes=["satellite"]).check(PREMIUM, Party.CALLEE)
    assert refusal == Refusal(Rule.NUMBER_CLASS, Origin.ENTERPRISE, Party.CALLEE)
    assert rule(SATELLITE, platform, classes=["satellite"]) is None


prefixes = st.text("123", max_size=4).map(lambda digits: f"+{digits}")
numbers = st.one_of(
    st.text("123", min_size=5, max_size=15).map(lambda digits: f"+{digits}"),
    st.sampled_from([BRITISH, GERMAN, PREMIUM, SHARED, SATELLITE, "+12345678", "+44999", "+18765551234"]),
)


@given(number=numbers, allow=st.frozensets(prefixes), deny=st.frozensets(prefixes))
def test_of_all_prefixes_that_fit_the_longest_one_s_list_decides(
    number: str, allow: frozenset[str], deny: frozenset[str]
) -> None:
    fitting = [prefix for prefix in allow | (deny - allow) if number.startswith(prefix)]
    longest = max(fitting, key=len, default=None)
    assert longest_prefix(number, allow | deny) == len(longest or "")
    platform = PolicySettings(classes=ALL, allow=allow, deny=deny - allow)
    refused = NumberRules(platform, EnterprisePolicy()).check(number, Party.CALLEE)
    assert (refused is not None) is (longest in deny - allow)


countries = st.frozensets(st.sampled_from(["GB", "DE", "US", "JM"]))
classes = st.frozensets(st.sampled_from(NumberClass))


@st.composite
def policies(draw: st.DrawFn) -> EnterprisePolicy:
    deny = draw(st.frozensets(prefixes, max_size=4))
    return EnterprisePolicy(
        blacklist=draw(st.frozensets(numbers, max_size=4)),
        allow=draw(st.frozensets(prefixes, max_size=4)) - deny,
        deny=deny,
        countries=draw(countries),
        classes=draw(st.none() | classes),
        require_valid=draw(st.booleans()),
    )


@given(number=numbers, platform=policies(), enterprise=policies())
def test_what_the_platform_refuses_no_enterprise_can_allow(
    number: str, platform: EnterprisePolicy, enterprise: EnterprisePolicy
) -> None:
    fields = {name: getattr(platform, name) for name in EnterprisePolicy.model_fields}
    settings = PolicySettings.model_validate({**fields, "classes": platform.classes or frozenset()})
    alone = NumberRules(settings, EnterprisePolicy()).check(number, Party.CALLEE)
    together = NumberRules(settings, enterprise).check(number, Party.CALLEE)
    if alone is not None:
        assert together is not None
    elif together is not None:
        assert together.origin is Origin.ENTERPRISE
