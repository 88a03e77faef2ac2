"""A trunk whose phones the test plays itself: for races that SIPp cannot time to the message.

One UDP socket takes every INVITE of the engine. What a test does not decide (200 to CANCEL and BYE, 487) the
phone does as RFC 3261 says, unless the test takes that over too.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from uuid import uuid4

from tests.support.sip_client import HOST, SipText
from tests.support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as the phone's side of the trunk got or sent it; time.monotonic seconds."""

    at: float
    sent: bool
    message: SipText


@dataclass
class Phone:
    """One leg as its phone sees it."""

    trunk: SipTrunk
    invite: SipText
    address: tuple[str, int]
    answers_cancel: bool = True
    answers_bye: bool = True
    log: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tag = uuid4().hex[:8]
        self._cseq = 100

    @property
    def number(self) -> str:
        """The dialled user part."""
        return self.invite.start_line.split("sip:", 1)[1].split("@", 1)[0]

    def respond(self, status: str, *headers: str, rtp_port: int | None = None) -> None:
        """Answer the INVITE; `rtp_port` puts an SDP answer (PCMU) into it."""
        body = ""
        if rtp_port is not None:
            body = (
                f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
                f"m=audio {rtp_port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
            )
        self.send(self._response(self.invite, status, *headers, body=body))

    def answer(self, rtp_port: int = 9) -> None:
        """200 with SDP, and wait for the ACK."""
        self.respond("200 OK", rtp_port=rtp_port)
        self.wait_for("ACK")

    def request(self, method: str, *headers: str) -> None:
        """A request of our own in the dialog."""
        self._cseq += 1
        target = self.invite.header("Contact").strip("<>")
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/UDP {HOST}:{self.trunk.port};branch=z9hG4bK{uuid4().hex}",
            f"From: {self.invite.header('To')};tag={self._tag}",
            f"To: {self.invite.header('From')}",
            f"Call-ID: {self.invite.header('Call-ID')}",
            f"CSeq: {self._cseq} {method}",
            f"Contact: <sip:phone@{HOST}:{self.trunk.port}>",
            "Max-Forwards: 70",
            *headers,
            "Content-Length: 0",
        ]
        self.send("\r\n".join(lines) + "\r\n\r\n")

    def bye(self) -> None:
        self.request("BYE")

    def received(self, method_or_status: str | int) -> list[SipText]:
        """Requests of a method, or responses with a status, that the engine sent to this phone."""
        return [
            heard.message
            for heard in self.log
            if not heard.sent
            and (
                heard.message.status == method_or_status
                if isinstance(method_or_status, int)
                else not heard.message.status and heard.message.method == method_or_status
            )
        ]

    def wait_for(self, method_or_status: str | int, timeout: float = 10.0) -> SipText:
        wait_until(
            lambda: self.received(method_or_status), timeout, f"{method_or_status} at the phone {self.number}"
        )
        return self.received(method_or_status)[0]

    def send(self, text: str) -> None:
        self.log.append(Heard(monotonic(), True, SipText(text)))
        self.trunk.socket.sendto(text.encode(), self.address)

    def take(self, message: SipText) -> None:
        """Called by the trunk's thread for each message of this leg."""
        self.log.append(Heard(monotonic(), False, message))
        if message.status:
            return
        if message.method == "BYE" and self.answers_bye:
            self.send(self._response(message, "200 OK"))
        elif message.method == "CANCEL" and self.answers_cancel:
            self.send(self._response(message, "200 OK"))
            self.respond("487 Request Terminated")

    def _response(self, request: SipText, status: str, *headers: str, body: str = "") -> str:
        to = request.header("To")
        if ";tag=" not in to and not status.startswith("100"):
            to += f";tag={self._tag}"
        lines = [
            f"SIP/2.0 {status}",
            *(f"{name}: {request.header(name)}" for name in ("Via", "From", "Call-ID", "CSeq")),
            f"To: {to}",
            f"Contact: <sip:phone@{HOST}:{self.trunk.port}>",
            *headers,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body


class SipTrunk:
    """Takes the engine's INVITEs on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.socket.settimeout(0.05)
        self.port: int = self.socket.getsockname()[1]
        self.phones: list[Phone] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._receive, name=f"trunk-{self.port}")

    def __enter__(self) -> SipTrunk:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self.socket.close()

    def ringing_at(self, number: str, timeout: float = 10.0) -> Phone:
        """The phone the engine dials; raises AssertionError if no INVITE comes within `timeout` seconds."""
        wait_until(lambda: self.find(number), timeout, f"an INVITE to {number}")
        (phone,) = self.find(number)
        return phone

    def find(self, number: str) -> list[Phone]:
        return [phone for phone in self.phones if phone.number == number]

    def _receive(self) -> None:
        while not self._stopped.is_set():
            try:
                data, address = self.socket.recvfrom(65535)
            except TimeoutError:
                continue
            message = SipText(data.decode())
            call_id = message.header("Call-ID")
            phone = next((p for p in self.phones if p.invite.header("Call-ID") == call_id), None)
            if phone is None and not message.status and message.method == "INVITE":
                phone = Phone(self, message, address)
                phone.log.append(Heard(monotonic(), False, message))
                self.phones.append(phone)
            elif phone is not None:
                phone.take(message)
