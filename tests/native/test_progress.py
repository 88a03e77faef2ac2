from __future__ import annotations

import io
import threading

import pytest

from native.progress import Progress


class Signal(io.StringIO):
    """A log file that tells when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def flush(self) -> None:
        self.written.set()


def test_a_short_step_is_not_worth_a_line() -> None:
    stream = io.StringIO()
    with Progress(stream).step("unpacking"):
        pass
    assert stream.getvalue() == ""


def test_a_long_step_shows_that_it_lives_and_what_it_took() -> None:
    stream = Signal()
    with Progress(stream, first_sign=0).step("compiling"):
        assert stream.written.wait(10)
    assert stream.getvalue() == "  compiling: 0 s ...\n  compiling: done in 0 s\n"


def test_a_failed_step_is_not_called_done() -> None:
    stream = Signal()

    def fail() -> None:
        with Progress(stream, first_sign=0).step("compiling"):
            assert stream.written.wait(10)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert stream.getvalue().endswith("  compiling: stopped after 0 s\n")
