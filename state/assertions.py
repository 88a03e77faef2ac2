"""Client assertions already used, so that none is accepted twice (RFC 7523, section 3, `jti`)."""

from __future__ import annotations

from redis.asyncio import Redis

from state.keys import Keys


class AssertionLog:
    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def first_use(self, client_id: str, jti: str, lifetime: int) -> bool:
        """Remember an assertion for `lifetime` seconds; False if it was used before."""
        key = f"{self._keys.assertions}{client_id}:{jti}"
        return bool(await self._redis.set(key, "1", nx=True, ex=max(1, lifetime)))
