"""Who a request is about: the codes that CAMARA_common.yaml has for identifiers, in the API's words."""

from __future__ import annotations

from api.authorization import Client
from api.errors import MissingIdentifierError, ServiceNotApplicableError, UnsupportedIdentifierError
from api.wanted_call import WantedCall


def check_identifiers(client: Client, wanted: WantedCall, *, person_required: bool) -> None:
    """`person_required`: a person has to have consented, whom only a three-legged token names.

    Raises the three errors that it imports.
    """
    if person_required and client.phone_number is None:
        raise MissingIdentifierError
    for who, number in (("caller", wanted.caller), ("callee", wanted.callee)):
        if "@" in number:  # a network access identifier (RFC 7542), a SIP URI
            raise UnsupportedIdentifierError(f"{who}.number: only telephone numbers can be called.")
    if wanted.callee in client.enterprise.profile.numbers:
        # The callee would be called by its own number. A caller may well be the enterprise's own telephone.
        raise ServiceNotApplicableError("callee.number is one that the enterprise's calls are shown with.")
