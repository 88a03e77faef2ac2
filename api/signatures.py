"""Signed events: a sink can prove that an event is ours and fresh (Standard Webhooks 1.0)."""

from __future__ import annotations

from collections.abc import Iterable

from standardwebhooks import Webhook

from config import EnterpriseSettings
from state.call import utc_now


class Signer:
    def __init__(self, enterprises: Iterable[EnterpriseSettings]) -> None:
        self._hooks = {
            enterprise.id: [Webhook(secret.get_secret_value()) for secret in enterprise.webhook_secrets]
            for enterprise in enterprises
        }

    def headers(self, enterprise_id: str, event_id: str, body: str) -> dict[str, str]:
        """Of one attempt, as of now; none for an enterprise without a secret.

        `event_id` is the same for each attempt: what tells a copy from a new event.
        """
        hooks = self._hooks.get(enterprise_id)
        if not hooks:
            return {}
        now = utc_now()
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(hook.sign(event_id, now, body) for hook in hooks),
        }
