"""The README's table of situations is complete, and its files can be run as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINKS = sorted(set(re.findall(r"\]\(((?:sipp-scenarios|tests/sip)/[^)]+)\)", README)))
SCENARIOS = sorted(path.relative_to(ROOT) for path in (ROOT / "sipp-scenarios").glob("*.xml"))
OF_MANY = {"phones.xml", "two_parties.xml"}
"""Scenarios that play more than one situation."""


@pytest.mark.parametrize("link", LINKS)
def test_what_the_readme_names_exists(link: str) -> None:
    assert (ROOT / link).is_file()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_each_situation_s_file_is_in_the_readme_and_says_how_to_run_it(scenario: Path) -> None:
    if scenario.name in OF_MANY:
        assert str(scenario) not in LINKS
        return
    assert str(scenario) in LINKS
    first_comment = (ROOT / scenario).read_text().split("-->", 1)[0]
    assert re.search(rf"sipp -sf \S*{re.escape(str(scenario))} ", first_comment)


def test_each_module_of_tests_is_in_the_readme() -> None:
    modules = {str(path.relative_to(ROOT)) for path in Path(__file__).parent.glob("test_*.py")}
    assert modules - {"tests/sip/test_scenario_files.py"} <= set(LINKS)
