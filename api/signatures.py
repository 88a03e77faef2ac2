"""Signed events: a sink can prove that an event is ours and fresh (Standard Webhooks 1.0)."""

from __future__ import annotations

import asyncio
import time

from standardwebhooks import Webhook

from api.enterprise_directory import EnterpriseDirectory
from state.call import utc_now

KNOWN_FOR = 5.0
"""Seconds after which an enterprise's secrets are looked up again."""


class Signer:
    def __init__(self, enterprises: EnterpriseDirectory) -> None:
        self._enterprises = enterprises
        self._hooks: dict[str, tuple[float, list[Webhook]]] = {}
        self._looking = asyncio.Lock()
        """Whoever needs the same secrets meanwhile waits for them."""

    async def headers(self, enterprise_id: str, event_id: str, body: str) -> dict[str, str]:
        """Of one attempt, as of now; none for an enterprise without a secret.

        `event_id` is the same for each attempt: what tells a copy from a new event.

        Raises SealedError, UNREACHABLE: what should be signed is not sent without.
        """
        hooks = await self._hooks_of(enterprise_id)
        if not hooks:
            return {}
        now = utc_now()
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(hook.sign(event_id, now, body) for hook in hooks),
        }

    async def _hooks_of(self, enterprise_id: str) -> list[Webhook]:
        if (hooks := self._known(enterprise_id)) is not None:
            return hooks
        async with self._looking:
            if (hooks := self._known(enterprise_id)) is not None:
                return hooks
            now = time.monotonic()
            store = await self._enterprises.store()
            enterprise = await store.get(enterprise_id)
            secrets = () if enterprise is None else enterprise.profile.webhook_secrets
            hooks = [Webhook(secret.get_secret_value()) for secret in secrets]
            self._hooks[enterprise_id] = now, hooks
            return hooks

    def _known(self, enterprise_id: str) -> list[Webhook] | None:
        read_at, hooks = self._hooks.get(enterprise_id, (-KNOWN_FOR, []))
        return hooks if time.monotonic() - read_at < KNOWN_FOR else None
