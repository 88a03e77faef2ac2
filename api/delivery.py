"""One attempt at delivering one event to one sink."""

from __future__ import annotations

import asyncio
import base64
import random
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2

from api.enterprise_directory import EnterpriseDirectory
from api.letters import Letter
from api.signatures import Signer
from api.sink_tokens import SinkTokens, TokenUnavailableError
from api.sink_transport import ForbiddenAddressError, read_limited
from api.v1_notifications import is_taken
from config.settings import NotifierSettings
from state.call import utc_now
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
        enterprises: EnterpriseDirectory,
        *,
        timeout_after: float,
    ) -> None:
        """`timeout_after`: seconds for one attempt, from asking for a token to the sink's answer."""
        self._http = http
        self._tokens = tokens
        self._signer = signer
        self._vault = vault
        self._enterprises = enterprises
        self._timeout_after = timeout_after

    async def attempt(self, letter: Letter) -> Attempt:
        """POST the event; 2xx delivers it, 410 refuses it for good, anything else means another try.

        In the older generation 2xx does so only together with the code of success. With an access token that
        has expired nothing is sent.
        """
        if letter.token_expires_at is not None and letter.token_expires_at <= utc_now():
            return Attempt(
                DeliveryOutcome.TOKEN_EXPIRED, "the sink's access token has expired", sink_was_asked=False
            )
        headers = dict(letter.headers)
        try:
            headers |= await self._signer.headers(letter.enterprise_id, letter.event_id, letter.body.decode())
            if letter.generation == "v1":
                headers |= await self._login(letter.enterprise_id)
        except (SealedError, *UNREACHABLE) as error:
            explanation = f"not signed: {type(error).__name__}"
            return Attempt(DeliveryOutcome.RETRIED, explanation, sink_was_asked=False)
        credential, token = letter.credential, None
        response: httpx2.Response | None = None
        answer = b""
        try:
            async with asyncio.timeout(self._timeout_after):
                if letter.token is not None:
                    token = self._vault.open(letter.token)
                if credential is not None:
                    token = await self._tokens.token(credential)
                if token is not None:
                    headers["Authorization"] = f"Bearer {token}"
                posting = self._http.stream("POST", letter.sink, content=letter.body, headers=headers)
                async with posting as response:
                    answer = await read_limited(response)
        except SealedError:
            explanation = "the sink's token was sealed with another key"
            return Attempt(DeliveryOutcome.RETRIED, explanation, sink_was_asked=False)
        except TokenUnavailableError as error:
            return Attempt(DeliveryOutcome.RETRIED, str(error), sink_is_down=True)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            if response is None:
                cause = error.__cause__ if isinstance(error.__cause__, ForbiddenAddressError) else error
                return Attempt(DeliveryOutcome.RETRIED, type(cause).__name__, sink_is_down=True)
            # The sink has answered; that its body was cut off matters only where the status is not all.
        if response.status_code == 401 and credential is not None and token is not None:
            self._tokens.refused(credential, token)
        return _judged(response, taken=letter.generation != "v1" or is_taken(answer))

    async def _login(self, enterprise_id: str) -> dict[str, str]:
        """At the application of the older generation. Raises SealedError, UNREACHABLE."""
        enterprise = await self._enterprises.known(enterprise_id)
        if enterprise is None or enterprise.profile.v1.username is None:
            return {}
        v1 = enterprise.profile.v1
        password = "" if v1.password is None else v1.password.get_secret_value()
        encoded = base64.b64encode(f"{v1.username}:{password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}


def backoff(settings: NotifierSettings, failed_attempts: int) -> float:
    """Seconds until the next attempt: doubling, with jitter so that a sink that returns is not stormed."""
    full = min(settings.backoff_max, settings.backoff_initial * 2.0 ** min(failed_attempts, 32))
    return full * random.uniform(0.75, 1.0)  # noqa: S311  # not a secret


def _judged(response: httpx2.Response, *, taken: bool) -> Attempt:
    """`taken`: what the answer's body says of the event."""
    status = response.status_code
    if response.is_success and not taken:
        return Attempt(DeliveryOutcome.RETRIED, f"HTTP {status} without the code of success")
    return Attempt(
        _outcome_of(status), f"HTTP {status}", _retry_after(response), sink_is_down=status in OVERLOADED
    )


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
