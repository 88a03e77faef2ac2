"""A trunk whose phones the test plays itself: for races that SIPp cannot time to the message.

One UDP socket takes every INVITE of the engine. What a test does not decide (200 to CANCEL and BYE, 487, 200
to a session refresh) the phone does as RFC 3261 says, unless the test takes that over too. What may be lost
on its way is repeated, so that the same tests run over a lossy path.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from types import TracebackType
from uuid import uuid4

from tests.support.sdp import PCMU, Direction, Sdp
from tests.support.sip_client import HOST, SipText
from tests.support.waiting import wait_until

T1, T2 = 0.5, 4.0
"""Seconds between the first two copies of a message, and at most (RFC 3261, section 17.1.1.1)."""
PROGRESS_AGAIN = 0.2
"""Seconds between two copies of an 18x that may get lost: tests listen for a second to what it brings."""
ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"
_MIRRORED = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as the phone's side of the trunk got or sent it; time.monotonic seconds."""

    at: float
    sent: bool
    message: SipText


@dataclass
class _Repeated:
    """What is sent again until something stops it, for 64 times T1 at most."""

    text: str
    due: float
    interval: float
    at_most: float
    until: float


@dataclass
class Phone:
    """One leg as its phone sees it.

    `received` and `wait_for` know each message once, however often it came; `log` holds every copy.
    """

    trunk: SipTrunk
    invite: SipText
    """The latest INVITE that asked for a new dialog: after a 401 the one with credentials."""
    address: tuple[str, int]
    answers_cancel: bool = True
    answers_bye: bool = True
    answers_reinvite: bool = True
    """And UPDATE: 200 with the SDP that the phone sent last."""
    answers_info: bool = True
    log: list[Heard] = field(default_factory=list)
    tag: str = field(default_factory=lambda: uuid4().hex[:8])
    """Of our side in the dialog of `request`; the first 2xx fixes it."""

    def __post_init__(self) -> None:
        self._cseq = 100
        self._rseq = 0
        self._described: dict[str, Sdp] = {}
        self._repeated: dict[str, _Repeated] = {}
        self._lock = threading.RLock()

    @property
    def number(self) -> str:
        """The dialled user part."""
        return self.invite.user

    @property
    def offer(self) -> Sdp:
        """What the engine's INVITE offered."""
        return self.invite.sdp

    # Answering the INVITE

    def respond(
        self,
        status: str,
        *headers: str,
        rtp_port: int | None = None,
        sdp: Sdp | None = None,
        tag: str | None = None,
    ) -> SipText:
        """Answer the INVITE; `rtp_port` puts an SDP answer (PCMU) into it. Another `tag` is another fork."""
        if rtp_port is not None:
            sdp = Sdp(rtp_port, (PCMU,))
        return self.respond_to(self.invite, status, *headers, sdp=sdp, tag=tag)

    def answer(
        self,
        rtp_port: int = 9,
        *,
        sdp: Sdp | None = None,
        headers: Sequence[str] = (),
        tag: str | None = None,
    ) -> SipText:
        """200 with SDP, and wait for its ACK."""
        answered = self.respond(
            "200 OK", *headers, rtp_port=rtp_port if sdp is None else None, sdp=sdp, tag=tag
        )
        return self.acknowledged(answered)

    def acknowledged(self, final: SipText, timeout: float = 10.0) -> SipText:
        """The engine's ACK of a final response of ours."""

        def found() -> list[SipText]:
            ours = (final.cseq, final.tag("To"))
            return [ack for ack in self.received("ACK") if (ack.cseq, ack.tag("To")) == ours]

        wait_until(found, timeout, f"the ACK of {final.start_line}")
        return found()[0]

    def respond_reliably(
        self,
        status: str,
        *headers: str,
        rtp_port: int | None = None,
        sdp: Sdp | None = None,
        tag: str | None = None,
    ) -> SipText:
        """A 1xx of RFC 3262: repeated until its PRACK, which is answered with 200 and returned."""
        with self._lock:
            self._rseq += 1
            rseq = self._rseq
        ours = (f"RSeq: {rseq}", "Require: 100rel", *headers)
        self.respond(status, *ours, rtp_port=rtp_port, sdp=sdp, tag=tag)
        rack = f"{rseq} {self.invite.header('CSeq')}"

        def found() -> list[SipText]:
            return [prack for prack in self.received("PRACK") if prack.header("RAck") == rack]

        wait_until(found, 10.0, f"the PRACK of {status}")
        return found()[0]

    def respond_to(
        self, request: SipText, status: str, *headers: str, sdp: Sdp | None = None, tag: str | None = None
    ) -> SipText:
        """Answer any request of the engine's."""
        own_tag = request.tag("To") or tag or self.tag
        body = self._describe(sdp, own_tag).text if sdp is not None else ""
        response = SipText(self._response(request, status, *headers, tag=own_tag, body=body))
        if request.method == "INVITE":
            self._answering(request, response, own_tag)
        self.send(response.text)
        return response

    # Requests in the dialog

    def request(
        self, method: str, *headers: str, sdp: Sdp | None = None, body: str = "", content_type: str = ""
    ) -> SipText:
        """Send a request of our own in the dialog, repeated until it is answered."""
        with self._lock:
            self._cseq += 1
            cseq = self._cseq
        if sdp is not None:
            body, content_type = self._describe(sdp, self.tag).text, "application/sdp"
        request = self._in_dialog(
            method, cseq, f"z9hG4bK{uuid4().hex}", *headers, body=body, content_type=content_type
        )
        self._repeat(f"request {cseq}", request.text, at_most=60.0 if method == "INVITE" else T2)
        self.send(request.text)
        return request

    def response_to(self, request: SipText, timeout: float = 10.0) -> SipText:
        """The final response to a request of ours."""

        def found() -> list[SipText]:
            return [r for r in self._heard() if r.status >= 200 and _same_transaction(r, request)]

        wait_until(found, timeout, f"the final response to {request.start_line}")
        return found()[0]

    def reinvite(self, sdp: Sdp | None, *headers: str, timeout: float = 10.0) -> SipText:
        """A re-INVITE; its final response, acknowledged by the phone. None: the engine is to offer.

        Sent anew while the engine waits for the lost ACK of the one before (RFC 3261, section 14.2).
        """
        finals: list[SipText] = []

        def settled() -> bool:
            finals.append(self.response_to(self.request("INVITE", *headers, sdp=sdp), timeout))
            return finals[-1].status != 500 or not finals[-1].has("Retry-After")

        wait_until(settled, timeout, f"an answer to the re-INVITE of {self.number}")
        return finals[-1]

    def update(self, sdp: Sdp | None, *headers: str, timeout: float = 10.0) -> SipText:
        """An UPDATE (RFC 3311); its final response."""
        return self.response_to(self.request("UPDATE", *headers, sdp=sdp), timeout)

    def info(self, digit: str, duration: int = 160, *, timeout: float = 10.0) -> SipText:
        """A digit by SIP INFO; `duration` in milliseconds. Its final response."""
        body = f"Signal={digit}\r\nDuration={duration}\r\n"
        request = self.request("INFO", body=body, content_type="application/dtmf-relay")
        return self.response_to(request, timeout)

    def bye(self, *headers: str) -> SipText:
        """Hang up, for example with `Reason: Q.850;cause=16` (RFC 3326)."""
        return self.request("BYE", *headers)

    # What the engine said

    def received(self, method_or_status: str | int) -> list[SipText]:
        """Requests of a method, or responses with a status, that the engine sent to this phone."""
        return [
            message
            for message in self._heard()
            if (
                message.status == method_or_status
                if isinstance(method_or_status, int)
                else not message.status and message.method == method_or_status
            )
        ]

    def wait_for(self, method_or_status: str | int, timeout: float = 10.0, *, count: int = 1) -> SipText:
        """The `count`th of its kind; raises AssertionError after `timeout` seconds."""
        wait_until(
            lambda: len(self.received(method_or_status)) >= count,
            timeout,
            f"{method_or_status} number {count} at the phone {self.number}",
        )
        return self.received(method_or_status)[count - 1]

    def reinvites(self) -> list[SipText]:
        """The engine's INVITEs within the dialog."""
        return [invite for invite in self.received("INVITE") if invite.tag("To")]

    def wait_for_reinvite(self, timeout: float = 10.0, *, count: int = 1) -> SipText:
        wait_until(lambda: len(self.reinvites()) >= count, timeout, f"re-INVITE to {self.number}")
        return self.reinvites()[count - 1]

    def send(self, text: str) -> None:
        """Any text, as it stands, once."""
        self.log.append(Heard(monotonic(), True, SipText(text)))
        self.trunk.socket.sendto(text.encode(), self.address)

    def _heard(self) -> list[SipText]:
        return list(dict.fromkeys(heard.message for heard in self.log.copy() if not heard.sent))

    # The trunk's thread

    def take(self, message: SipText) -> None:
        """Called for each message of this leg."""
        is_copy = message in self._heard()
        self.log.append(Heard(monotonic(), False, message))
        if message.status:
            self._take_response(message)
        elif is_copy:
            self._answer_again(message)
        else:
            self._take_request(message)

    def repeat_what_is_due(self) -> None:
        """Called every few milliseconds."""
        now = monotonic()
        with self._lock:
            due = [(key, copy) for key, copy in self._repeated.items() if copy.due <= now]
            for key, copy in due:
                copy.due, copy.interval = now + copy.interval, min(2 * copy.interval, copy.at_most)
                if now > copy.until:
                    del self._repeated[key]
        for _, copy in due:
            self.send(copy.text)

    def _take_response(self, response: SipText) -> None:
        if response.method != "INVITE" and response.status < 200:
            return
        self._stop_repeating(f"request {response.cseq}")
        if response.method == "INVITE" and response.status >= 200:
            self._acknowledge(response)

    def _take_request(self, request: SipText) -> None:
        match request.method:
            case "ACK":
                self._stop_repeating(f"final {request.cseq} {request.tag('To')}")
            case "PRACK":
                self._stop_repeating(f"reliable {request.header('RAck').split()[0]}")
                self.respond_to(request, "200 OK")
            case "BYE":
                self._stop_repeating("final")
                if self.answers_bye:
                    self.respond_to(request, "200 OK")
            case "CANCEL" if self.answers_cancel:
                self.respond_to(request, "200 OK")
                if not self._has_final(self.invite):
                    self.respond("487 Request Terminated")
            case "INVITE" if not request.tag("To"):
                self.invite = request
            case "INVITE" | "UPDATE" if self.answers_reinvite:
                self._refresh(request)
            case "INFO" if self.answers_info:
                self.respond_to(request, "200 OK")
            case "OPTIONS":
                self.respond_to(request, "200 OK", ALLOW)

    def _refresh(self, request: SipText) -> None:
        """RFC 4028, section 9, and an answer to what is offered (RFC 3264, section 6.1)."""
        expires = request.headers("Session-Expires")
        if expires and "refresher=" not in expires[0]:
            expires = [f"{expires[0]};refresher=uac"]
        timer = [f"Session-Expires: {expires[0]}", "Require: timer"] if expires else []
        sdp = self._described.get(request.tag("To"))
        if sdp is not None and request.body:
            offered = request.sdp.direction
            sdp = replace(sdp, direction=_MIRRORED.get(offered, offered))
        elif request.method == "UPDATE":
            sdp = None
        self.respond_to(request, "200 OK", *timer, sdp=sdp)

    def _answer_again(self, request: SipText) -> None:
        """The answer was lost, or the request was quicker (RFC 3261, section 17.2)."""
        for heard in reversed(self.log.copy()):
            if heard.sent and heard.message.status and _same_transaction(heard.message, request):
                self.send(heard.message.text)
                return

    def _acknowledge(self, response: SipText) -> None:
        """Of an INVITE of ours; each copy of a 2xx wants the same ACK (RFC 3261, section 13.2.2.4)."""
        sent = [heard.message for heard in self.log.copy() if heard.sent and not heard.message.status]
        acks = [m for m in sent if m.method == "ACK" and m.cseq == response.cseq]
        if not acks:
            invite = next(m for m in sent if m.method == "INVITE" and m.cseq == response.cseq)
            answer = self._described.get(self.tag) if response.status < 300 and not invite.body else None
            branch = f"z9hG4bK{uuid4().hex}" if response.status < 300 else invite.branch
            acks = [
                self._in_dialog(
                    "ACK",
                    response.cseq,
                    branch,
                    body=answer.text if answer else "",
                    content_type="application/sdp",
                )
            ]
        self.send(acks[0].text)

    def _answering(self, invite: SipText, response: SipText, tag: str) -> None:
        """What becomes of the copies of our responses to an INVITE when one more is sent."""
        self._stop_repeating("progress")
        if response.status >= 200:
            self._stop_repeating("reliable")
            self._repeat(f"final {invite.cseq} {tag}", response.text)
        elif response.has("RSeq"):
            self._repeat(f"reliable {response.header('RSeq')}", response.text, at_most=60.0)
        elif response.status > 100 and self.trunk.repeats_progress:
            self._repeat("progress", response.text, first=PROGRESS_AGAIN, at_most=PROGRESS_AGAIN)
        if 200 <= response.status < 300 and not self._has_final(self.invite):
            self.tag = tag

    def _has_final(self, invite: SipText) -> bool:
        return any(
            heard.sent and heard.message.status >= 200 and _same_transaction(heard.message, invite)
            for heard in self.log.copy()
        )

    def _repeat(self, key: str, text: str, *, first: float = T1, at_most: float = T2) -> None:
        now = monotonic()
        with self._lock:
            self._repeated[key] = _Repeated(
                text, now + first, min(2 * first, at_most), at_most, now + 64 * T1
            )

    def _stop_repeating(self, key: str) -> None:
        """All whose key begins with these words."""
        with self._lock:
            for known in list(self._repeated):
                if known == key or known.startswith(f"{key} "):
                    del self._repeated[known]

    def _describe(self, sdp: Sdp, tag: str) -> Sdp:
        """With the o= line of our session, whose version counts the changes (RFC 3264, section 8)."""
        with self._lock:
            former = self._described.get(tag)
            if former is None:
                described = replace(sdp, session_id=len(self._described) + 1, version=1)
            else:
                described = replace(sdp, session_id=former.session_id, version=former.version)
                if described != former:
                    described = replace(described, version=former.version + 1)
            self._described[tag] = described
            return described

    def _in_dialog(
        self, method: str, cseq: int, branch: str, *headers: str, body: str = "", content_type: str = ""
    ) -> SipText:
        target = re.search("<([^>]*)>", self.invite.header("Contact"))
        assert target is not None
        lines = [
            f"{method} {target[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {HOST}:{self.trunk.port};branch={branch}",
            f"From: {self.invite.header('To')};tag={self.tag}",
            f"To: {self.invite.header('From')}",
            f"Call-ID: {self.invite.header('Call-ID')}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:phone@{HOST}:{self.trunk.port}>",
            "Max-Forwards: 70",
            *headers,
            *([f"Content-Type: {content_type}"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return SipText("\r\n".join(lines) + "\r\n\r\n" + body)

    def _response(self, request: SipText, status: str, *headers: str, tag: str, body: str) -> str:
        to = request.header("To")
        if ";tag=" not in to and not status.startswith("100"):
            to += f";tag={tag}"
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


def _same_transaction(response: SipText, request: SipText) -> bool:
    return (response.branch, response.method) == (request.branch, request.method)


class SipTrunk:
    """Takes the engine's INVITEs on a free port of 127.0.0.1.

    `repeats_progress`: phones repeat their 18x, for a path on which one may be lost.
    """

    def __init__(self, *, repeats_progress: bool = False) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.socket.settimeout(0.05)
        self.port: int = self.socket.getsockname()[1]
        self.repeats_progress = repeats_progress
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
            for phone in self.phones:
                phone.repeat_what_is_due()
            try:
                data, address = self.socket.recvfrom(65535)
            except TimeoutError:
                continue
            message = SipText(data.decode(errors="replace"))
            if not message.has("Call-ID"):  # a keep-alive
                continue
            if known := self._phone_of(message):
                known.take(message)
            elif not message.status and message.method == "INVITE":
                phone = Phone(self, message, address)
                phone.log.append(Heard(monotonic(), False, message))
                self.phones.append(phone)

    def _phone_of(self, message: SipText) -> Phone | None:
        """By the Call-ID; a phone that the call is redirected to may have the same."""
        call_id = message.header("Call-ID")
        phones = [phone for phone in self.phones if phone.invite.header("Call-ID") == call_id]
        tag = message.tag("From" if message.status else "To")
        for phone in reversed(phones):
            if message.user == phone.number or tag == phone.tag:
                return phone
        return phones[-1] if phones and tag else None
