"""One stack per test module that wants one, with the phones the module names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.sink_server import SinkServer
from tests.support.sip_trunk import SipTrunk
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def trunk() -> Iterator[SipTrunk]:
    """Phones that the test plays itself."""
    with SipTrunk() as phones:
        yield phones


@pytest.fixture(scope="module")
def stack(trunk: SipTrunk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), trunk_port=trunk.port) as running:
        yield running


@pytest.fixture
def sink() -> Iterator[SinkServer]:
    server = SinkServer()
    server.start()
    yield server
    server.stop()
