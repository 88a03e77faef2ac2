"""What all tests share."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support import evidence


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test's report quotes the logs of the processes it ran."""
    report = yield
    if report.failed:
        report.sections += evidence.sections()
    return report
