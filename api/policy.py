"""Which calls an enterprise may ask for (422), in the order in which the errors win."""

from __future__ import annotations

from api.enterprise_directory import EnterpriseDirectory
from api.errors import (
    ApiError,
    CalleeNotAvailableError,
    CallerNotAvailableError,
    IdentifierNotFoundError,
    InvalidPhoneNumberError,
    NoMemberError,
    RecordingNotSupportedError,
    SameCallerCalleeError,
    redis_reachable,
)
from api.wanted_call import WantedCall
from config import PolicySettings
from policy.rules import NumberRules, Origin, Party, Refusal, Rule
from state.enterprises import Enterprise


class CallPolicy:
    def __init__(self, settings: PolicySettings, enterprises: EnterpriseDirectory) -> None:
        self._settings = settings
        self._enterprises = enterprises

    async def check(self, enterprise: Enterprise, wanted: WantedCall) -> None:
        """Raises one of the 422 errors of click-to-dial.yaml, UnprocessableEntity422; UnavailableError."""
        rules = NumberRules(self._settings, enterprise.profile.policy)
        parties = ((Party.CALLER, wanted.caller), (Party.CALLEE, wanted.callee))
        refusals = [refusal for party, number in parties if (refusal := rules.check(number, party))]
        for refusal in refusals:
            if refusal.rule in (Rule.E164, Rule.NUMBERING_PLAN):
                raise _error(refusal)
        if wanted.caller == wanted.callee:
            raise SameCallerCalleeError().by(Refusal(Rule.SAME_NUMBER))
        for refusal in refusals:
            raise _error(refusal)
        if enterprise.profile.callers == "members" and not await self._is_member(enterprise, wanted.caller):
            raise NoMemberError().by(Refusal(Rule.MEMBERS, Origin.ENTERPRISE, Party.CALLER))
        if not is_recorded(enterprise, wanted):
            return
        for party, number in parties:
            if number in self._settings.no_recording:
                raise RecordingNotSupportedError().by(Refusal(Rule.RECORDING, party=party))

    async def check_person(self, enterprise: Enterprise, number: str | None) -> None:
        """Of a three-legged token. Raises IdentifierNotFoundError, UnavailableError."""
        if number is None or enterprise.profile.callers != "members":
            return
        if not await self._is_member(enterprise, number):
            raise IdentifierNotFoundError

    async def _is_member(self, enterprise: Enterprise, number: str) -> bool:
        with redis_reachable():
            store = await self._enterprises.store()
            return await store.is_member(enterprise.id, number)


def _error(refusal: Refusal) -> ApiError:
    """The client learns whose number it was; by which rule is for those who make the rules."""
    error: ApiError
    if refusal.rule is Rule.E164:
        error = InvalidPhoneNumberError(f"{refusal.party}.number is not a valid E.164 phone number.")
    elif refusal.rule is Rule.NUMBERING_PLAN:
        error = InvalidPhoneNumberError(f"{refusal.party}.number is not a number of its country.")
    elif refusal.party is Party.CALLER:
        error = CallerNotAvailableError()
    else:
        error = CalleeNotAvailableError()
    return error.by(refusal)


def is_recorded(enterprise: Enterprise, wanted: WantedCall) -> bool:
    """Raises RecordingNotSupportedError if it is to be and may not."""
    match enterprise.profile.recording:
        case "always":
            return True
        case "never" if wanted.recording:
            raise RecordingNotSupportedError("The enterprise's calls are not recorded.").by(
                Refusal(Rule.RECORDING, Origin.ENTERPRISE)
            )
        case _:
            return wanted.recording
