"""One product per module; towards it either phones that the test plays itself, or SIPp with a scenario file.

A module says what it sets by a fixture `overrides` of its own. Every call of a module must have ended, once,
when its tests are over, and nothing of them may be left in the engine.

With `--lossy` everything here runs over a path between phones and engine that loses and delays SIP and RTP.
A few tests always do: those marked `paths("lossy")`, or `paths("direct", "lossy")` to run twice; those marked
`paths("direct")` never do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.product import Product
from tests.sip.scenarios import ScenarioTrunk
from tests.support.lossy_path import LossyPath, NoLossyPathError
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides

LOSS, JITTER_MS = 0.05, 30.0
StartProduct = Callable[[Overrides], Product]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker("paths")
    if metafunc.config.getoption("lossy"):
        never = marked is not None and "lossy" not in marked.args
        marks = [pytest.mark.skip(reason="not over the lossy path")] if never else []
        metafunc.parametrize("path", [pytest.param("lossy", marks=marks)], indirect=True, scope="module")
    elif marked is not None:
        metafunc.parametrize("path", marked.args, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def path(request: pytest.FixtureRequest) -> Iterator[LossyPath | None]:
    """Between the phones, where the tests are, and the engine. None: nothing is lost between them."""
    if getattr(request, "param", "direct") == "direct":
        yield None
        return
    with ExitStack() as stack:
        try:
            lossy = stack.enter_context(LossyPath(loss=LOSS, jitter_ms=JITTER_MS))
        except NoLossyPathError as error:
            pytest.skip(str(error))
        stack.enter_context(lossy.among_phones())
        yield lossy


@pytest.fixture
def nothing_lost(path: LossyPath | None) -> None:
    """For tests that count packets, or that lose and delay them themselves: not over the lossy path."""
    if path is not None:
        pytest.skip("needs a path that loses and delays nothing")


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    """The module's settings, by section."""
    return {}


@pytest.fixture(scope="module")
def trunk(path: LossyPath | None) -> Iterator[SipTrunk]:
    """Phones that the test plays itself: dial fresh numbers, so that tests do not meet."""
    with SipTrunk(repeats_progress=path is not None) as phones:
        yield phones


@pytest.fixture(scope="module")
def start_product(
    trunk: SipTrunk, path: LossyPath | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartProduct]:
    """For modules that need several products, each with settings of its own."""
    with ExitStack() as stack:

        def start(overrides: Overrides) -> Product:
            folder = tmp_path_factory.mktemp("product")
            product = Product(folder, trunk_port=trunk.port, overrides=overrides, path=path)
            stack.enter_context(product)
            stack.callback(assert_every_call_ended_well, product)
            return product

        yield start


@pytest.fixture(scope="module")
def product(start_product: StartProduct, overrides: Overrides) -> Product:
    return start_product(overrides)


@pytest.fixture(scope="module")
def sipp(
    overrides: Overrides, path: LossyPath | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ScenarioTrunk]:
    """A product of its own, whose trunk is played by SIPp: one scenario file after the other."""
    with ScenarioTrunk(tmp_path_factory.mktemp("sipp"), overrides, path) as running:
        yield running
        assert_every_call_ended_well(running.product)


def assert_every_call_ended_well(product: Product) -> None:
    """Once, and each CANCEL and BYE of ours said why, once."""
    product.wait_idle()
    for call_id in product.call_ids():
        states = product.event_states(call_id)
        assert sum(state in ("disconnected", "failed") for state in states) == 1, (call_id, states)
        assert states[-1] in ("disconnected", "failed"), (call_id, states)
        for message in product.sip_messages(call_id):
            if message.direction == "sent" and message.start_line.startswith(("CANCEL ", "BYE ")):
                assert message.text.count("\r\nReason: Q.850;cause=") == 1, message.text
