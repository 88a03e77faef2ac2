"""Opening Redis: one client per process, patient with a server that restarts."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ClusterDownError, OutOfMemoryError, ReadOnlyError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

UNREACHABLE = (
    RedisConnectionError,
    RedisTimeoutError,
    OSError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
"""What a Redis command raises while the server cannot be reached, or refuses it for now."""


def connect(url: str) -> Redis:
    """A client for a redis://, rediss:// or unix:// URL. Answers are text."""
    return Redis.from_url(
        url,
        decode_responses=True,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.02), retries=3),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        socket_connect_timeout=2,
        socket_timeout=10,
        health_check_interval=15,
        max_connections=2000,  # the pool refuses at its limit, and each DELETE in progress waits on one
    )


def stream_entries(answer: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """The (id, fields) of an XREAD's answer, stream by stream."""
    for _, entries in answer:
        yield from entries


def load_script(redis: Redis, name: str, *libraries: str) -> AsyncScript:
    """The Lua script `state/scripts/<name>.lua`, behind the functions of `libraries` in the same folder."""
    scripts = files("state") / "scripts"
    return redis.register_script("".join((scripts / f"{one}.lua").read_text() for one in (*libraries, name)))
