"""The lab's phones, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dialbridge.child import Child
from dialbridge.phones import Phones, lab_phones
from tests.support import evidence
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phones]:
    played = lab_phones(tmp_path_factory.mktemp("phones"))
    children = [Child(spec) for spec in played.children]
    for child in children:
        if child.spec.complaints is not None:
            evidence.offer(f"sipp {child.name}", child.spec.complaints)
    try:
        for child in children:
            is_ready = child.spec.is_ready
            assert is_ready is not None
            wait_until(is_ready, what=f"start of {child.name}")
        yield played
    finally:
        for child in children:
            evidence.withdraw(f"sipp {child.name}")
            child.sweep()
