"""A trunk whose own phones talk nonsense, so that PJSIP's dialogs and our calls get to see it."""

from __future__ import annotations

import re
from random import Random

from tests.sip.torture.forgery import METHODS, in_dialog
from tests.sip.torture.mutations import DAMAGES
from tests.sip.torture.stranger import Stranger
from tests.support.sdp import PCMU, Sdp
from tests.support.sip_trunk import Phone

RESPONSES = (
    "100 Trying",
    "180 Ringing",
    "183 Session Progress",
    "199 Early Dialog Terminated",
    "200 OK",
    "302 Moved Temporarily",
    "401 Unauthorized",
    "407 Proxy Authentication Required",
    "422 Session Interval Too Small",
    "486 Busy Here",
    "491 Request Pending",
    "503 Service Unavailable",
)
_EXTRA = (
    "RSeq: 1\r\nRequire: 100rel",
    "Session-Expires: 90;refresher=uac\r\nRequire: timer",
    "Min-SE: 4294967295",
    'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5, qop="auth"',
    "Reason: Q.850;cause=17",
    "Retry-After: 1",
    "Record-Route: <sip:127.0.0.1;lr>",
)
_HOST = re.compile(rb"(?:sips?:(?:[^@\s>]*@)?|IN IP4 )([^\s;>:,?\"]*)", re.IGNORECASE)
_LOOPBACK = re.compile(rb"127(\.\d{1,3}){3}|")


def is_confined(message: bytes) -> bool:
    """Whether it names no host but those of this machine, so that the engine asks no name server about it.

    A packet cannot leave: the engine's sockets are bound to 127.0.0.1.
    """
    hosts = _HOST.findall(message)
    return b"maddr" not in message.lower() and all(_LOOPBACK.fullmatch(host) for host in hosts)


class Saboteur:
    """Damages what a phone says, the same way in each run of one seed."""

    def __init__(self, random: Random, stranger: Stranger) -> None:
        """`stranger` sends it all, and gets the answers: phones of the trunk would not understand them."""
        self._random = random
        self._stranger = stranger
        self._cseq = 1000

    def respond(self, phone: Phone, times: int) -> None:
        """Damaged responses to its INVITE."""
        for _ in range(times):
            self._send_damaged(self._response(phone))

    def request(self, phone: Phone, times: int) -> None:
        """Damaged requests in its dialog, with a CSeq that rises as it should."""
        for _ in range(times):
            self._cseq += 1
            method = self._random.choice((*METHODS, "INVITE", "UPDATE", "INFO", "ACK", "CANCEL"))
            self._send_damaged(in_dialog(phone, method, cseq=self._cseq, host=self._stranger.host))

    def _response(self, phone: Phone) -> bytes:
        invite, random = phone.invite, self._random
        body = Sdp(9, (PCMU,)).text if random.random() < 0.7 else ""
        lines = [
            f"SIP/2.0 {random.choice(RESPONSES)}",
            *(f"{name}: {invite.header(name)}" for name in ("Via", "From", "Call-ID", "CSeq")),
            f"To: {invite.header('To')};tag={phone.tag}{random.choice(('', '', 'f'))}",
            f"Contact: <sip:phone@127.0.0.1:{phone.trunk.port}>",
            *random.sample(_EXTRA, random.choice((0, 0, 1, 2))),
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def _send_damaged(self, message: bytes) -> None:
        damaged = message
        for _ in range(self._random.choice((1, 1, 2))):
            damaged = self._random.choice(DAMAGES)(self._random, damaged) or b"\r\n"
        self._stranger.send(damaged if is_confined(damaged) else message)


def answer_properly(phone: Phone) -> None:
    """If nonsense has not ended the leg yet; without waiting for the ACK."""
    phone.respond("200 OK", sdp=Sdp(9, (PCMU,)))
