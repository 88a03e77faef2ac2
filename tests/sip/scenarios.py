"""The scenario files of `sipp-scenarios/`, played by SIPp as the trunk of a product."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from dialbridge.phones import mulaw_tone
from dialbridge.ports import free_media_port
from tests.end_to_end.product import Product
from tests.support.lossy_path import LossyPath
from tests.support.sipp import SCENARIOS, SippServer
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until


class ScenarioTrunk:
    """A product, and the port at which its trunk is played. Use as a context manager."""

    def __init__(self, directory: Path, overrides: Overrides, path: LossyPath | None = None) -> None:
        self._directory = directory
        # Not one that the kernel gives to others while no SIPp holds it.
        self.port = free_media_port()
        self.product = Product(directory, trunk_port=self.port, overrides=overrides, path=path)
        self._is_lossy = path is not None
        self._played = 0
        self._exit = ExitStack()

    def __enter__(self) -> ScenarioTrunk:
        self._exit.enter_context(self.product)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @contextmanager
    def playing(
        self,
        scenario: str,
        *,
        legs: int = 2,
        keys: Mapping[str, str] | None = None,
        tones: Sequence[int] = (),
        echo: bool = True,
        options: Sequence[str] = (),
    ) -> Iterator[SippServer]:
        """SIPp with `sipp-scenarios/<scenario>.xml` until it has seen `legs` INVITEs' dialogs to their end.

        Raises AssertionError with what SIPp complained of unless each went exactly as the scenario says.
        `tones`: Hz of those it streams, from files beside it. `echo`: it sends the RTP that reaches its media
        port back; not for scenarios that stream. `options`: more of SIPp's own.
        """
        if self._played and self._is_lossy:
            self._forget_what_was_lost()
        self._played += 1
        folder = self._directory / f"{self._played}-{scenario}"
        options = ("-m", str(legs), *(("-rtp_echo",) if echo else ()), *options)
        folder.mkdir()
        for frequency in tones:
            (folder / f"tone_{frequency}.ulaw").write_bytes(mulaw_tone(frequency))
        file = SCENARIOS / f"{scenario}.xml"
        if self._is_lossy:
            file = _staying_longer(file, folder)
        server = SippServer(file, folder, keys, options=options, port=self.port)
        with server:
            yield server
            wait_until(lambda: server.exit_status is not None, 90, f"the end of {scenario}")
            assert server.exit_status == 0, f"{server.ended()}\n{server.errors()}"

    def _forget_what_was_lost(self) -> None:
        """A BYE whose answer was lost would come again to the next SIPp, which would take it for a call."""
        self.product.wait_idle()
        self.product.engine.stop()
        self.product.engine.start()
        self.product.wait_ready()


def _staying_longer(scenario: Path, folder: Path) -> Path:
    """A copy of the scenario that answers a BYE which comes again for five seconds, three of its repetitions.

    The files themselves stay one second, enough where nothing is lost: SIPp ends only after it.
    """
    copy = folder / scenario.name
    text, replaced = re.subn(
        r'(?:<timewait milliseconds="\d+"/>\s*)?</scenario>',
        '<timewait milliseconds="5000"/>\n</scenario>',
        scenario.read_text(),
    )
    assert replaced == 1, f"{scenario.name} does not end in </scenario>"
    copy.write_text(text)
    return copy
