"""Digits of either party reach the other: RFC 4733 events, and SIP INFO where the trunk wants it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import count, pairwise
from pathlib import Path

import pytest

from dialbridge.child import Child, ChildSpec
from dialbridge.digits_phone import DIGITS, DYNAMIC_TYPES, port_of
from dialbridge.ports import HOST, free_hundred, is_bound_udp
from state.call import DisconnectionReason, PressedDigit
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.scenarios import ScenarioTrunk
from tests.sip.talk import PLAIN, talking
from tests.support.lossy_path import LossyPath
from tests.support.rtp import event_payloads, write_packet
from tests.support.rtp_peer import RtpPeer
from tests.support.sdp import PCMU, Sdp, telephone_event
from tests.support.sip_trunk import SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

FORTY = "1111222345678900*#*#5555ABCD9876543210##"
"""Repeats too: two equal digits are two."""
SECRET = "D"
"""What no log line may hold: as a word of its own nothing else writes it."""


@pytest.fixture(scope="module")
def overrides() -> Overrides:
    """Everything is logged that can be."""
    return {"call": {"record_digits": True}, "sip": {"log_level": 5}, "log": {"level": "debug"}}


def pressed(digits: tuple[PressedDigit, ...], leg: str) -> str:
    return "".join(press.digit for press in digits if press.leg == leg)


def assert_lasted(durations: Sequence[float], wanted: float, path: LossyPath | None) -> None:
    """Milliseconds. Of a digit whose three ends are all lost, the last update is what is known."""
    unknown = 0 if path is None else 2
    assert len(durations) - unknown <= durations.count(wanted)
    assert max(durations) == wanted


def test_ten_digits_a_second_cross_in_both_directions(
    product: Product, trunk: SipTrunk, path: LossyPath | None
) -> None:
    """Each leg with its own payload type, in each direction: RFC 3264, section 5.1."""
    callee_sdp = Sdp(0, (PCMU, telephone_event(97)))
    with (
        RtpPeer(440) as caller,
        RtpPeer(1000) as callee,
        talking(product, trunk, caller, callee, callee_sdp=callee_sdp) as talk,
    ):
        offered = [phone.offer.payload_type("telephone-event") for phone in (talk.caller, talk.callee)]
        caller.send_digits(FORTY, payload_type=offered[0], duration=60, interval=100)
        callee.send_digits(FORTY[::-1], payload_type=offered[1], duration=80, interval=100)
        to_callee = callee.wait_for_digits(FORTY, payload_type=97)
        to_caller = caller.wait_for_digits(FORTY[::-1], payload_type=101)
        digits = talk.end().digits
    assert pressed(digits, "caller") == FORTY
    assert pressed(digits, "callee") == FORTY[::-1]
    assert_lasted([digit.duration for digit in to_callee], 60, path)
    assert_lasted([digit.duration for digit in to_caller], 80, path)
    assert_lasted([press.duration_ms for press in digits if press.leg == "caller"], 60, path)


def test_a_digit_is_three_ends_of_one_event_and_the_audio_s_clock_goes_on(
    product: Product, trunk: SipTrunk, path: LossyPath | None
) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        offered = talk.caller.offer.payload_type("telephone-event")
        caller.send_digits("55", payload_type=offered, duration=130, interval=400)
        heard = callee.wait_for_digits("55")
        callee.wait_for_more_audio(packets=20)
        packets = sorted({p.sequence: p for p in callee.packets()}.values(), key=lambda p: p.sequence)
    for digit in heard:
        event = [p for p in packets if p.payload_type == 101 and p.timestamp == digit.timestamp]
        ends = [p for p in event if p.payload[1] & 0x80]
        assert digit.duration == 130
        if path is None:
            # RFC 4733, section 2.5.1: the marker on the first, updates, the end three times.
            assert [p.marker for p in event] == [True] + [False] * (len(event) - 1)
            assert len(ends) == 3
    assert path is not None or callee.missing_sequences() == 0
    # One packet every 20 ms, whatever is in it: the timestamp of audio tells the time, events do not stop it.
    audio = [p for p in packets if p.payload_type == 0]
    for former, later in pairwise(audio):
        assert later.timestamp - former.timestamp == 160 * (later.sequence - former.sequence)


class EventSender:
    """RFC 4733 packets one by one, to be lost or mixed up on their way; there is no audio between them."""

    def __init__(self, peer: RtpPeer, payload_type: int) -> None:
        self._peer = peer
        self._payload_type = payload_type
        self._numbers = count(1)

    def event(self, digit: str, at: int, duration: float = 60) -> list[bytes]:
        """All its packets: two updates and three ends, for 60 ms. `at`: its RTP timestamp."""
        return [
            write_packet(
                self._payload_type,
                payload,
                sequence=next(self._numbers),
                timestamp=at,
                ssrc=0xD161,
                marker=i == 0,
            )
            for i, payload in enumerate(event_payloads(digit, duration, 20))
        ]

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self._peer.send_raw(packet)


@pytest.mark.usefixtures("nothing_lost")
def test_lost_and_mixed_up_packets_neither_double_nor_lose_a_digit(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer() as caller, RtpPeer() as callee, talking(product, trunk, caller, callee) as talk:
        caller.wait_for_audio()
        sender = EventSender(caller, talk.caller.offer.payload_type("telephone-event"))
        all_ends_lost = sender.event("1", 1000)[:2]
        begin_lost = sender.event("1", 2000)[3:]
        begin, update, end, *_ = sender.event("2", 3000)
        late = [end, begin, update]
        repeated = sender.event("2", 4000) * 2
        of_the_former_again = sender.event("3", 5000)
        sender.send(*all_ends_lost, *begin_lost, *late, *repeated, *of_the_former_again, late[0])
        heard = callee.wait_for_digits("11223")
        sender.send(*sender.event("4", 6000)[:1])  # nothing more comes of it
        heard = callee.wait_for_digits("112234")
        # 40 ms are the shortest that a phone takes for a digit (ITU-T Q.24).
        assert [digit.duration for digit in heard] == [40, 60, 60, 60, 60, 40]
        assert pressed(talk.end().digits, "caller") == "112234"


def test_info_comes_in_and_leaves_as_an_event(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        for digit in "0*d":
            assert talk.callee.info(digit, 250).status == 200
        heard = caller.wait_for_digits("0*D")
        assert [digit.duration for digit in heard] == [250, 250, 250]
        assert pressed(talk.end().digits, "callee") == "0*D"


@pytest.mark.usefixtures("nothing_lost")
def test_equal_digits_by_info_that_come_at_once_are_all_heard(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        requests = [
            talk.callee.request(
                "INFO", body="Signal= 7\r\nDuration= 80\r\n", content_type="application/dtmf-relay"
            )
            for _ in range(4)
        ]
        for request in requests:
            assert talk.callee.response_to(request).status == 200
        assert [digit.duration for digit in caller.wait_for_digits("7777")] == [80] * 4


@pytest.mark.parametrize(
    "body",
    [
        "5",
        "Signal",
        "Signal\r\n",
        "Signal==5\r\nDuration=100\r\n",
        "Duration=100\r\n",
        "Signal=5\r\nDuration\r\n",
    ],
)
def test_an_info_that_names_no_digit_is_refused(product: Product, trunk: SipTrunk, body: str) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        info = talk.caller.request("INFO", body=body, content_type="application/dtmf-relay")
        assert talk.caller.response_to(info).status == 400
        assert talk.caller.info("9").status == 200
        callee.wait_for_digits("9")


@pytest.mark.parametrize(
    "body", ["", "Signal=\r\n", "Signal=x\r\nDuration=100\r\n", "Signal=16\r\nDuration=100\r\n"]
)
def test_what_is_no_digit_is_not_passed_on(product: Product, trunk: SipTrunk, body: str) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        info = talk.caller.request("INFO", body=body, content_type="application/dtmf-relay")
        assert talk.caller.response_to(info).status >= 200
        assert talk.caller.info("9").status == 200
        callee.wait_for_digits("9")


def test_what_is_sent_both_as_event_and_as_info_is_one_digit(product: Product, trunk: SipTrunk) -> None:
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        offered = talk.caller.offer.payload_type("telephone-event")
        for number, digit in enumerate("121", start=1):
            caller.send_digits(digit, payload_type=offered)
            callee.wait_for_digits("121"[:number])
            talk.caller.info(digit)
        caller.send_digits("3", payload_type=offered)
        callee.wait_for_digits("1213")


def test_a_phone_without_events_gets_info(product: Product, trunk: SipTrunk) -> None:
    """One at a time and in order: the next only when the one before is answered."""
    with (
        RtpPeer(440) as caller,
        RtpPeer(1000) as callee,
        talking(product, trunk, caller, callee, callee_sdp=Sdp(0, (PCMU,))) as talk,
    ):
        talk.callee.answers_info = False
        offered = talk.caller.offer.payload_type("telephone-event")
        caller.send_digits("11#", payload_type=offered, duration=120, interval=200)
        for number in (1, 2, 3):
            info = talk.callee.wait_for("INFO", count=number)
            assert info.header("Content-Type") == "application/dtmf-relay"
            assert re.fullmatch(r"Signal=[1#]\r\nDuration=120(\r\n)?", info.body)
            assert len(talk.callee.received("INFO")) == number
            talk.callee.respond_to(info, "200 OK")
        assert [info.body[7] for info in talk.callee.received("INFO")] == ["1", "1", "#"]


def test_digits_before_the_call_is_connected_reach_nobody(product: Product, trunk: SipTrunk) -> None:
    """The callee is not there yet, and the one it might reach is not the one it was meant for."""
    with RtpPeer(440) as caller, RtpPeer(1000) as callee:
        numbers = ("+447700900101", "+447700900102")
        call_id = product.create(*numbers)
        caller_phone = trunk.ringing_at(numbers[0])
        caller_phone.answer(sdp=Sdp(caller.port, PLAIN.formats))
        callee_phone = trunk.ringing_at(numbers[1])
        caller.wait_for_audio()
        assert caller_phone.info("1").status == 200
        callee_phone.answer(sdp=Sdp(callee.port, PLAIN.formats))
        product.wait_status(call_id, "connected")
        assert caller_phone.info("2").status == 200
        callee.wait_for_digits("2")
        assert product.delete(call_id) == 204
        assert pressed(product.call(call_id).digits, "caller") == "2"


def test_no_log_tells_a_digit(product: Product, trunk: SipTrunk) -> None:
    """PJSIP's own lines about digits are there, without them, and so is the packet that it cannot parse."""
    with RtpPeer(440) as caller, RtpPeer(1000) as callee, talking(product, trunk, caller, callee) as talk:
        offered = talk.caller.offer.payload_type("telephone-event")
        caller.send_digits(SECRET, payload_type=offered)
        callee.wait_for_digits(SECRET)
        talk.callee.info(SECRET)
        caller.wait_for_digits(SECRET)
        info = next(h.message for h in talk.callee.log if h.message.start_line.startswith("INFO "))

        def is_dropped() -> bool:
            talk.callee.send(info.text.replace("CSeq: ", "CSeq: not "))
            return "Dropped packet:INFO " in product.engine.log.read_text()

        wait_until(is_dropped, what="the end of an INFO with a bad CSeq")
        traced = "".join(message.text for message in product.sip_messages(talk.call_id))
    assert f"Signal={SECRET}" in traced, "it is kept where digits are"
    for process in product.processes:
        lines = process.log.read_text().splitlines()
        told = [line for line in lines if re.search(rf"(?<![\w]){SECRET}(?![\w])", line)]
        assert told == [], process.name
    spoken_of = re.findall(
        r"(?:ing DTMF|ing DTMF digit id|Received DTMF digit) (?!digit)([^\s',]+)",
        product.engine.log.read_text(),
    )
    assert set(spoken_of) == {"<digits>"}


def test_the_scenario(sipp: ScenarioTrunk, path: LossyPath | None, tmp_path: Path) -> None:
    """What the callee presses comes back from the caller, whose phone is an echo."""
    ports = str(free_hundred())
    command = (sys.executable, "-m", "dialbridge.digits_phone", HOST, ports)
    phone = Child(ChildSpec("digits", command, output=tmp_path / "digits.log"))
    try:
        wait_until(lambda: is_bound_udp(port_of(ports, DYNAMIC_TYPES[-1])), what="the phone's ports")
        with sipp.playing("digits-by-event", keys={"digits_ports": ports}):
            call_id = sipp.product.create(fresh_number("01"), fresh_number("99"))
            call = sipp.product.wait_ended(call_id)
    finally:
        phone.sweep()
    assert call.reason is DisconnectionReason.HANG_UP
    for leg in ("caller", "callee"):
        assert pressed(call.digits, leg) == DIGITS
        assert_lasted([press.duration_ms for press in call.digits if press.leg == leg], 100, path)
