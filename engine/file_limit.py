"""Descriptors for the capacity: a login's usual limit of 1024 would end at some 200 calls."""

from __future__ import annotations

import resource

import structlog

log = structlog.get_logger("engine")

FILES_PER_CALL = 5
"""RTP and RTCP of two legs, and the recording."""
OWN_FILES = 100
"""SIP, Redis, the log, libraries."""


def affordable_capacity(wanted: int, limit: int) -> int:
    """How many of the `wanted` calls a limit on open files allows; at least one."""
    return max(1, min(wanted, (limit - OWN_FILES) // FILES_PER_CALL))


def raise_file_limit(wanted: int) -> int:
    """Raise this process's own limit as far as needed and allowed; the capacity that it then carries."""
    needed = wanted * FILES_PER_CALL + OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Linux has no unlimited number of open files: neither is RLIM_INFINITY.
    if soft < needed:
        soft = min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    capacity = affordable_capacity(wanted, soft)
    if capacity < wanted:
        log.warning(
            "the limit on open files allows fewer calls than engine.capacity: raise it (ulimit -Hn)",
            wanted=wanted,
            capacity=capacity,
            open_files=soft,
            needed=needed,
        )
    return capacity
