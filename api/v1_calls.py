"""What a request of the older generation asks for, in the words of the newer one."""

from __future__ import annotations

import secrets

import structlog

from api.errors import InternalError, InvalidArgumentError
from api.services import Services
from api.sinks import check_sink
from api.v1_notifications import notify_url
from api.v1_numbers import to_e164
from api.v1_results import Refusal, RefusedError
from api.v1_schemas import BeginRequest
from api.wanted_call import Sink, WantedCall
from state.enterprises import Enterprise

log = structlog.get_logger()

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without what is easily mistaken for something else: 0 and O, 1 and I."""
LENGTH = 12
"""Of an id: 60 random bits, so that nobody guesses another's call."""


def wanted_call(services: Services, enterprise: Enterprise, request: BeginRequest) -> WantedCall:
    """Raises InvalidPhoneNumberError, InternalError; RefusedError for a sponsor of somebody else."""
    profile = enterprise.profile
    home = profile.home_country
    sponsor, caller, callee = (
        to_e164(one, home) for one in (request.sponsor, request.caller, request.callee)
    )
    if sponsor not in profile.numbers:
        raise RefusedError(Refusal.USER_NOT_EXIST)
    # Nobody has asked for a recording, so a number that may not be recorded is called without one.
    may_be_recorded = services.settings.policy.no_recording.isdisjoint((caller, callee))
    call_id = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return WantedCall(
        caller,
        callee,
        recording=profile.v1.recording and profile.recording != "never" and may_be_recorded,
        sink=_sink(services, enterprise, call_id),
        presented_number=sponsor,
        generation="v1",
        call_id=call_id,
    )


def _sink(services: Services, enterprise: Enterprise, call_id: str) -> Sink | None:
    app_server = enterprise.profile.v1.app_server
    if app_server is None:
        return None
    insecure = services.settings.notifier.allow_insecure_sinks
    try:
        check_sink(app_server, services.sinks, allow_insecure=insecure, name="v1.app_server")
    except InvalidArgumentError as error:
        # Provisioned wrongly: nothing that the client could mend.
        log.error("app_server_unusable", enterprise_id=enterprise.id, error=str(error))
        raise InternalError from error
    return Sink(notify_url(app_server, call_id))
