"""Messages with a live dialog's Call-ID and tags that do not come from its phone, and may do nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import uuid4

from tests.support.sdp import PCMU, Sdp
from tests.support.sip_client import HOST, SipText
from tests.support.sip_trunk import Phone

LAST_CSEQ = 2**31 - 1
"""RFC 3261, section 8.1.1.5: no number is higher."""
_WITH_BODY = {
    "INVITE": ("application/sdp", Sdp(9, (PCMU,)).text),
    "UPDATE": ("application/sdp", Sdp(9, (PCMU,)).text),
    "INFO": ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
    "MESSAGE": ("text/plain", "hello"),
    "NOTIFY": ("message/sipfrag", "SIP/2.0 200 OK\r\n"),
}
_WITH_HEADERS = {
    "PRACK": ("RAck: 1 1 INVITE",),
    "REFER": (f"Refer-To: <sip:+441632960961@{HOST}>",),
    "NOTIFY": ("Event: refer", "Subscription-State: active;expires=60"),
    "SUBSCRIBE": ("Event: presence", "Expires: 3600"),
    "INVITE": ("Session-Expires: 90;refresher=uas", "Supported: timer, 100rel, replaces"),
}
METHODS = (
    "BYE",
    "INVITE",
    "UPDATE",
    "INFO",
    "PRACK",
    "REFER",
    "NOTIFY",
    "MESSAGE",
    "SUBSCRIBE",
    "OPTIONS",
    "REGISTER",
)
"""Whose CSeq must be higher than the last one's (RFC 3261, section 12.2.2)."""


def in_dialog(phone: Phone, method: str, *, cseq: int, host: str = "") -> bytes:
    """A request of this phone's dialog. `host`: where its Via says that it comes from, if not the phone."""
    target = re.search("<([^>]*)>", phone.invite.header("Contact"))
    assert target is not None
    kind, body = _WITH_BODY.get(method, ("", ""))
    lines = [
        f"{method} {target[1]} SIP/2.0",
        f"Via: SIP/2.0/UDP {host or f'{HOST}:{phone.trunk.port}'};branch=z9hG4bK{uuid4().hex}",
        f"From: {phone.invite.header('To')};tag={phone.tag}",
        f"To: {phone.invite.header('From')}",
        f"Call-ID: {phone.invite.header('Call-ID')}",
        f"CSeq: {cseq} {method}",
        f"Contact: <sip:phone@{HOST}:{phone.trunk.port}>",
        "Max-Forwards: 70",
        *_WITH_HEADERS.get(method, ()),
        *([f"Content-Type: {kind}"] if kind else []),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def use_up_cseq(phone: Phone) -> None:
    """The phone sends a request with the last CSeq there is, so that forged ones can only come too late.

    BYE with the right tags would end a call wherever it came from; with a CSeq that is not higher than the
    last it is refused (RFC 3261, section 12.2.2).
    """
    request = SipText(in_dialog(phone, "OPTIONS", cseq=LAST_CSEQ).decode())
    phone.send(request.text)
    phone.response_to(request)


def forged(phone: Phone, host: str) -> list[bytes]:
    """Each kind once: too late, or of a dialog that differs in one tag or in its Call-ID.

    Call `use_up_cseq` before.
    """
    late = [in_dialog(phone, method, cseq=7, host=host) for method in METHODS]
    other_tag = f"{phone.tag}x".encode()
    own_tag = phone.invite.tag("From").encode()
    call_id = phone.invite.header("Call-ID").encode()
    requests = [in_dialog(phone, m, cseq=LAST_CSEQ, host=host) for m in ("ACK", "CANCEL", "BYE", "INVITE")]
    said = [heard.message.text.encode() for heard in phone.log.copy() if heard.sent and heard.message.status]
    elsewhere = [
        message.replace(old, new)
        for message in (*requests, *said)
        for old, new in (
            (phone.tag.encode(), other_tag),
            (own_tag, b"x" + own_tag),
            (call_id, call_id[::-1]),
        )
        # Another tag in the To of a 2xx is another fork's answer: that one is acknowledged and hung up.
        if not (message.startswith(b"SIP") and old == phone.tag.encode())
    ]
    return [*late, *elsewhere]


def is_harmless(phones: Sequence[Phone], message: bytes) -> bool:
    """Whether a damaged one has not become, by chance, what a call has to obey.

    ACK and CANCEL need no higher CSeq (and PJSIP lets them set the last one back), and a 2xx moves the remote
    target; so they must not have both of a dialog's tags, which PJSIP compares without regard to case.
    """
    text = message.lower()
    if not text.lstrip().startswith((b"ack", b"cancel", b"sip/")):
        return True
    return not any(
        phone.tag.lower().encode() in text and phone.invite.tag("From").lower().encode() in text
        for phone in phones
    )
