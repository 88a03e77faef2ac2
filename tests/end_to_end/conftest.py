"""One product per test module, with phones that the test plays itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.product import Product
from tests.support.sink import Sink
from tests.support.sip_trunk import SipTrunk


@pytest.fixture(scope="module")
def trunk() -> Iterator[SipTrunk]:
    """Phones that the test plays itself."""
    with SipTrunk() as phones:
        yield phones


@pytest.fixture(scope="module")
def product(trunk: SipTrunk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("product"), trunk_port=trunk.port) as running:
        yield running


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as server:
        yield server
