"""Signed events: a sink can prove that an event is ours and fresh (Standard Webhooks 1.0)."""

from __future__ import annotations

from standardwebhooks import Webhook

from api.enterprise_directory import EnterpriseDirectory
from state.call import utc_now


class Signer:
    def __init__(self, enterprises: EnterpriseDirectory) -> None:
        self._enterprises = enterprises

    async def headers(self, enterprise_id: str, event_id: str, body: str) -> dict[str, str]:
        """Of one attempt, as of now; none for an enterprise without a secret.

        `event_id` is the same for each attempt: what tells a copy from a new event.

        Raises SealedError, UNREACHABLE: what should be signed is not sent without.
        """
        enterprise = await self._enterprises.known(enterprise_id)
        if enterprise is None or not enterprise.profile.webhook_secrets:
            return {}
        hooks = [Webhook(secret.get_secret_value()) for secret in enterprise.profile.webhook_secrets]
        now = utc_now()
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(hook.sign(event_id, now, body) for hook in hooks),
        }
