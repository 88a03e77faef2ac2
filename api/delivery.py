"""One attempt at delivering one event to one sink."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2

from api.camara_events import status_changed
from api.correlator import HEADER
from api.signatures import Signer
from api.sink_tokens import PrivateKeyJwt, SinkTokens, TokenUnavailableError
from api.sink_transport import ForbiddenAddressError, read_limited
from config.settings import NotifierSettings
from state.call import Call, CallEvent, utc_now
from state.connection import UNREACHABLE
from state.delivery_counts import DeliveryOutcome
from state.vault import SealedError, Vault

OVERLOADED = frozenset({429, 502, 503, 504})
"""Statuses that say nothing of the event, but that the sink takes none now."""
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attempt:
    outcome: DeliveryOutcome
    explanation: str
    """For the log: the status or the kind of failure."""
    retry_after: float = 0
    """Seconds that the sink asks us to wait (RFC 9110, section 10.2.3)."""
    sink_is_down: bool = False
    """Whether an attempt at another event would have met the same."""
    sink_was_asked: bool = True


class Courier:
    """Carries events to sinks."""

    def __init__(
        self,
        http: httpx2.AsyncClient,
        tokens: SinkTokens,
        signer: Signer,
        vault: Vault,
        *,
        public_url: str,
        timeout_after: float,
    ) -> None:
        """`timeout_after`: seconds for one attempt, from asking for a token to the sink's answer."""
        self._http = http
        self._tokens = tokens
        self._signer = signer
        self._vault = vault
        self._public_url = public_url
        self._timeout_after = timeout_after

    async def attempt(self, call: Call, event: CallEvent) -> Attempt:
        """POST the event; 2xx delivers it, 410 refuses it for good, anything else means another try.

        With an access token that has expired nothing is sent.
        """
        if call.sink_token_expires_at is not None and call.sink_token_expires_at <= utc_now():
            return Attempt(
                DeliveryOutcome.TOKEN_EXPIRED, "the sink's access token has expired", sink_was_asked=False
            )
        message = status_changed(call, event, public_url=self._public_url)
        try:
            signature = await self._signer.headers(call.enterprise_id, event.id, message.body.decode())
        except (SealedError, *UNREACHABLE) as error:
            explanation = f"not signed: {type(error).__name__}"
            return Attempt(DeliveryOutcome.RETRIED, explanation, sink_was_asked=False)
        headers = message.headers | signature
        if call.correlator is not None:
            headers[HEADER] = call.correlator
        credential, token = _credential_of(call), None
        response: httpx2.Response | None = None
        try:
            async with asyncio.timeout(self._timeout_after):
                if call.sink_token is not None:
                    token = self._vault.open(call.sink_token)
                if credential is not None:
                    token = await self._tokens.token(credential)
                if token is not None:
                    headers["Authorization"] = f"Bearer {token}"
                posting = self._http.stream("POST", str(call.sink), content=message.body, headers=headers)
                async with posting as response:
                    await read_limited(response)
        except SealedError:
            explanation = "the sink's token was sealed with another key"
            return Attempt(DeliveryOutcome.RETRIED, explanation, sink_was_asked=False)
        except TokenUnavailableError as error:
            return Attempt(DeliveryOutcome.RETRIED, str(error), sink_is_down=True)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            if response is None:
                cause = error.__cause__ if isinstance(error.__cause__, ForbiddenAddressError) else error
                return Attempt(DeliveryOutcome.RETRIED, type(cause).__name__, sink_is_down=True)
            # The sink has answered; that its body was cut off changes nothing.
        status = response.status_code
        if status == 401 and credential is not None and token is not None:
            self._tokens.refused(credential, token)
        return Attempt(
            _outcome_of(status), f"HTTP {status}", _retry_after(response), sink_is_down=status in OVERLOADED
        )


def _credential_of(call: Call) -> PrivateKeyJwt | None:
    if call.sink_client_id is None or call.sink_token_uri is None:
        return None
    return PrivateKeyJwt(call.sink_client_id, call.sink_token_uri)


def backoff(settings: NotifierSettings, failed_attempts: int) -> float:
    """Seconds until the next attempt: doubling, with jitter so that a sink that returns is not stormed."""
    full = min(settings.backoff_max, settings.backoff_initial * 2.0 ** min(failed_attempts, 32))
    return full * random.uniform(0.75, 1.0)  # noqa: S311  # not a secret


def _outcome_of(status: int) -> DeliveryOutcome:
    if 200 <= status < 300:
        return DeliveryOutcome.DELIVERED
    # CAMARA_common.yaml, Generic410: the sink says that this callback is no longer available.
    return DeliveryOutcome.REFUSED if status == 410 else DeliveryOutcome.RETRIED


def _retry_after(response: httpx2.Response) -> float:
    """Seconds, from a number of seconds or a date; 0 without the header or with one that is neither."""
    value = response.headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - utc_now()).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return 0
