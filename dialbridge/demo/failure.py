"""Why a demonstration did not succeed."""

from __future__ import annotations


class DemoFailedError(Exception):
    """`part` failed; the message is the rest of the sentence. `process`: whose log lines may explain it."""

    def __init__(self, part: str, why: str, *, process: str | None = None) -> None:
        super().__init__(why)
        self.part = part
        self.process = process
