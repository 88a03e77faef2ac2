"""The lab's phones, running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dialbridge.child import Child
from dialbridge.phones import Phones, lab_phones
from tests.support import evidence
from tests.support.waiting import wait_until


@contextmanager
def running_phones(folder: Path) -> Iterator[Phones]:
    """SIPp plays them until the `with` block ends; what it complains of goes into a failed test's report."""
    phones = lab_phones(folder)
    with ExitStack() as stack:
        for spec in phones.children:
            child = Child(spec)
            stack.callback(child.sweep)
            if spec.complaints is not None:
                evidence.offer(f"sipp {spec.name}", spec.complaints)
                stack.callback(evidence.withdraw, f"sipp {spec.name}")
            assert spec.is_ready is not None
            wait_until(spec.is_ready, what=f"start of {spec.name}")
        yield phones
