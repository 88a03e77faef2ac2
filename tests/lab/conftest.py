"""The lab's phones, once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dialbridge.phones import Phones
from tests.support.phones import running_phones


@pytest.fixture(scope="session")
def phones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phones]:
    with running_phones(tmp_path_factory.mktemp("phones")) as running:
        yield running
