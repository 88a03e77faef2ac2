"""A SIP client of the tests: one UDP socket, one dialog, every message sent and kept as text."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from uuid import uuid4

from dialbridge.ports import HOST
from tests.support.sdp import PCMU, Sdp, telephone_event

__all__ = ["HOST", "SipDialog", "SipText"]


@dataclass(frozen=True, slots=True)
class SipText:
    """One SIP message as text."""

    text: str

    @property
    def start_line(self) -> str:
        return self.text.split("\r\n", 1)[0]

    @property
    def status(self) -> int:
        """The response's status code; 0 for a request."""
        return int(self.start_line.split()[1]) if self.start_line.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The request's method, or the method a response answers."""
        return self.header("CSeq").split()[1]

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]

    @property
    def cseq(self) -> int:
        return int(self.header("CSeq").split()[0])

    @property
    def branch(self) -> str:
        """Of the topmost Via: which transaction it is (RFC 3261, section 17.1.3)."""
        return self.header("Via").partition("branch=")[2].partition(";")[0]

    @property
    def user(self) -> str:
        """The user part of a request's URI; empty without one."""
        user, at, _ = self.start_line.split()[1].removeprefix("sip:").partition("@")
        return user if at else ""

    def tag(self, header: str) -> str:
        """Of From or To; empty if there is none."""
        return self.header(header).partition(";tag=")[2].partition(";")[0]

    def header(self, name: str) -> str:
        """The first value of a header; raises KeyError if it is absent."""
        for value in self.headers(name):
            return value
        raise KeyError(name)

    def headers(self, name: str) -> list[str]:
        """The values of all lines of a header."""
        lines = (line.partition(":") for line in self.text.partition("\r\n\r\n")[0].split("\r\n")[1:])
        return [value.strip() for key, _, value in lines if key.strip().lower() == name.lower()]

    def has(self, name: str) -> bool:
        return bool(self.headers(name))

    @property
    def sdp(self) -> Sdp:
        """Raises ValueError if the body describes no audio."""
        return Sdp.parse(self.body)

    @property
    def audio_port(self) -> int:
        return self.sdp.port


@dataclass
class SipDialog:
    """Dials `number` at `port` of `host`. Waiting is bounded by `timeout` seconds everywhere."""

    number: str
    port: int
    rtp_port: int = 9
    timeout: float = 10.0
    offer_digits: bool = True
    uri_parameters: str = ""
    sdp: Sdp | None = None
    """What it offers; none: PCMU at `rtp_port`, and digits unless `offer_digits` is false."""
    host: str = HOST
    sent: list[SipText] = field(default_factory=list)
    received: list[SipText] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self._local = self._socket.getsockname()[1]
        self.call_id = uuid4().hex
        self._from = f"<sip:test@{HOST}:{self._local}>;tag={uuid4().hex[:8]}"
        self._uri = f"sip:{self.number}@{self.host}:{self.port}{self.uri_parameters}"
        self._to = f"<{self._uri}>"
        self._branch = self._new_branch()
        self._cseq = 1

    def __enter__(self) -> SipDialog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def invite(self, *headers: str) -> None:
        digits = (telephone_event(),) if self.offer_digits else ()
        offer = self.sdp or Sdp(self.rtp_port, (PCMU, *digits))
        self.request("INVITE", self._uri, *headers, body=offer.text, branch=self._branch)

    def invite_again(self, *headers: str) -> None:
        """A new INVITE in place of one that was refused, for example with credentials (RFC 3261, 22.2)."""
        self._cseq += 1
        self._branch = self._new_branch()
        self._to = f"<{self._uri}>"
        self.invite(*headers)

    def ack(self, response: SipText) -> None:
        """Acknowledge a final response; within its transaction unless it is a 2xx (RFC 3261, 17.1.1.3)."""
        self._to = response.header("To")
        accepted = response.status < 300
        target = response.header("Contact").strip("<>") if accepted else self._uri
        branch = self._new_branch() if accepted else self._branch
        self.request("ACK", target, branch=branch)

    def cancel(self) -> None:
        self.request("CANCEL", self._uri, branch=self._branch)

    def bye(self) -> None:
        self.in_dialog("BYE")

    def in_dialog(self, method: str, *headers: str, body: str = "") -> None:
        """The next request."""
        self._cseq += 1
        self.request(method, self._uri, *headers, branch=self._new_branch(), body=body)

    def request(self, method: str, uri: str, *headers: str, branch: str, body: str = "") -> None:
        head = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:{self._local};branch={branch}\r\n"
            f"From: {self._from}\r\nTo: {self._to}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {self._cseq} {method}\r\nContact: <sip:test@{HOST}:{self._local}>\r\nMax-Forwards: 70\r\n"
        )
        self.send(head + self._rest(headers, body))

    def answer(self, request: SipText, status: str = "200 OK", *headers: str, body: str = "") -> None:
        kept = "".join(f"{h}: {request.header(h)}\r\n" for h in ("Via", "From", "To", "Call-ID", "CSeq"))
        contact = f"Contact: <sip:test@{HOST}:{self._local}>\r\n"
        self.send(f"SIP/2.0 {status}\r\n{kept}{contact}{self._rest(headers, body)}")

    @staticmethod
    def _rest(headers: Sequence[str], body: str) -> str:
        lines = [
            *headers,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + f"\r\n\r\n{body}"

    def send(self, text: str) -> None:
        self.sent.append(SipText(text))
        self._socket.sendto(text.encode(), (self.host, self.port))

    def receive(self, timeout: float | None = None) -> SipText | None:
        """The next message; None if there is none for `timeout` seconds."""
        self._socket.settimeout(self.timeout if timeout is None else max(timeout, 0.001))
        try:
            message = SipText(self._socket.recv(65535).decode())
        except TimeoutError:
            return None
        self.received.append(message)
        return message

    def expect(self, *wanted: int | str) -> SipText:
        """The next message that is one of these statuses or requests; others but repeats are an error."""
        deadline = time.monotonic() + self.timeout
        while (left := deadline - time.monotonic()) > 0:
            message = self.receive(left)
            if message is None:
                break
            if message.status in wanted or (not message.status and message.method in wanted):
                return message
            if message.text not in [earlier.text for earlier in self.received[:-1]]:
                raise AssertionError(f"expected {wanted}, received:\n{message.text}")
        raise AssertionError(f"no {wanted} within {self.timeout} s; received {self.trail()}")

    @property
    def uri(self) -> str:
        """What it dials."""
        return self._uri

    def establish(self) -> SipText:
        """Dial until answered and acknowledge; the 200."""
        self.invite()
        return self.until_answered()

    def until_answered(self) -> SipText:
        """Ringing or early media, then the 200, which is acknowledged."""
        self.expect(180, 183)
        accepted = self.expect(200)
        self.ack(accepted)
        return accepted

    def trail(self) -> list[str]:
        return [message.start_line for message in self.received]

    @staticmethod
    def _new_branch() -> str:
        return f"z9hG4bK{uuid4().hex}"
