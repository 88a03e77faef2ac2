"""What all tests share."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support import evidence


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--lossy",
        action="store_true",
        help="run tests/sip over a path that loses 5 % of SIP and RTP packets and delays each by up to 30 ms",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "paths(*names): run this test of tests/sip over each: direct, lossy")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test's report quotes the logs of the processes it ran."""
    report = yield
    if report.failed:
        report.sections += evidence.sections()
    return report
