"""Why the machine could not be made ready."""

from __future__ import annotations


class SetupError(Exception):
    """One sentence for the administrator: what failed and what to do about it."""
