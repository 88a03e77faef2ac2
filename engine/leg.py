"""One leg: a pjsua2 call towards one party."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import pjsua2 as pj

from config import TrunkSettings
from engine.digits import Press, read_info
from engine.signals import Leg, LegAnswered, LegEnded, LegProgress
from engine.sip_messages import contact_uris, offers_codec, q850_cause, with_ptime
from engine.stream_reading import StreamReading

LegEvent = LegProgress | LegAnswered | LegEnded

REDIRECTIONS = range(300, 400)

NOT_ACCEPTABLE_HERE = 488
REQUEST_PENDING = 491
DTMF_IS_END = 1 << 1
"""PJMEDIA_STREAM_DTMF_IS_END, which the binding leaves out."""


class LegListener(Protocol):
    """Who hears of a leg. Called inside pjsua2's callbacks: only note what happened."""

    def on_leg_event(self, event: LegEvent) -> None: ...

    def on_leg_media(self, leg: Leg) -> None:
        """Its audio can be (re)connected."""

    def on_leg_media_gone(self, leg: Leg) -> None:
        """Its port has left the bridge, and the place may be another call's by now: forget it at once."""

    def on_leg_glare(self, leg: Leg, method: str) -> None:
        """Our re-INVITE or UPDATE met one of the party's (491): it is to be sent again, but not yet."""

    def on_leg_digit(self, leg: Leg, digit: str, timestamp: int, duration_ms: int, ended: bool) -> None:
        """A digit's start, an update of it, or its end; `timestamp` tells it from the next."""


@dataclass(frozen=True, slots=True)
class LegAudio:
    """A leg's audio as the last offer and answer left it."""

    port: pj.AudioMedia | None
    """In the bridge; None while there is no stream."""
    on_hold: bool
    """The party wants nothing from us."""
    may_be_silent: bool
    """It need not send: it holds, or it only listens."""


class PartyCall(pj.Call):  # type: ignore[misc]
    def __init__(self, account: pj.Account, leg: Leg, listener: LegListener, trunk: TrunkSettings) -> None:
        super().__init__(account)
        self._trunk = trunk
        self._leg = leg
        self._listener: LegListener | None = listener
        self._hanging_up = False
        self._digits_left: deque[Press] = deque()
        self._info_pending = False
        """A SIP INFO of ours is not answered yet: the next waits, or it might overtake this one."""
        self._events_come = False
        """The party sends digits as RFC 4733 events."""
        self._infos = 0
        """Digits it has sent by SIP INFO."""
        self._info: Press | None = None
        """What the latest of them says."""
        self._codec: tuple[str, int, float] | None = None
        """Name, clock rate and packet length (ms) of the running stream."""
        self._stream: int | None = None
        """Media index of the running stream."""
        self._ended_streams: StreamReading | None = None
        self.redirect_targets: list[str] = []
        """URIs of a 3xx's Contacts, the preferred one first."""
        self.sip_call_id = str(uuid4())
        """Ours to choose, so that the trace knows it before the INVITE leaves."""

    def dial(self, party: str, *, shown: str, trunk: str, local_host: str) -> None:
        """Send the INVITE. `party` and `shown` are E.164 numbers, `trunk` host:port. Raises pj.Error."""
        prm = _audio_only()
        prm.opt.customCallId = self.sip_call_id
        identity = f"<sip:{shown}@{local_host}>"
        prm.txOption.localUri = identity
        prm.txOption.headers.append(_header("P-Asserted-Identity", identity))  # RFC 3325
        self.makeCall(f"sip:{party}@{trunk}", prm)

    def end(self, q850: int) -> None:
        """CANCEL or BYE, whichever fits; does nothing when the leg is ending already.

        What PJSIP sends only later, as the party rings or answers all the same, says this cause too.
        """
        if self._hanging_up or not self.isActive():
            return
        self._hanging_up = True
        prm = pj.CallOpParam()
        prm.txOption.headers.append(_header("Reason", f"Q.850;cause={q850}"))  # RFC 3326
        self.hangup(prm)

    def audio(self) -> LegAudio:
        info = self.getInfo()  # owns the vector: a temporary would be freed under the loop
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status != pj.PJSUA_CALL_MEDIA_NONE:
                # RFC 3264, 8.4: sendonly, inactive and c=0.0.0.0 all leave us nothing to send.
                on_hold = not media.dir & pj.PJMEDIA_DIR_ENCODING
                has_port = media.audioConfSlot != pj.PJSUA_INVALID_ID
                may_be_silent = media.dir != pj.PJMEDIA_DIR_ENCODING_DECODING
                port = self.getAudioMedia(media.index) if has_port else None
                return LegAudio(port, on_hold, may_be_silent)
        return LegAudio(None, on_hold=False, may_be_silent=False)

    def reading(self) -> StreamReading | None:
        """Counts over all streams of this leg; None before the first."""
        current = self._read_stream()
        return self._ended_streams if current is None else current.after(self._ended_streams)

    def send_digit(self, digit: str, duration_ms: int) -> None:
        """After the digits before it: `send_digits` tries until none is left."""
        self._digits_left.append(Press(digit, duration_ms))

    def send_digits(self) -> None:
        """Those for which there is room in the stream's queue now."""
        while self._digits_left and not self._info_pending and self.isActive():
            press = self._digits_left[0]
            prm = pj.CallSendDtmfParam()
            prm.digits, prm.duration = press.digit, press.duration_ms
            by_info = self._sends_info()
            prm.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if by_info else pj.PJSUA_DTMF_METHOD_RFC2833
            try:
                self.sendDtmf(prm)
            except pj.Error:
                return  # pjmedia's queue of 32 is full, or there is no stream at this moment
            self._info_pending = by_info
            self._digits_left.popleft()

    def offer_again(self, method: str) -> None:
        """What a 491 refused. Raises pj.Error while an offer is under way, ours or the party's."""
        prm = _audio_only()
        if method == "UPDATE":
            self.update(prm)
        else:
            self.reinvite(prm)

    @property
    def has_digits_left(self) -> bool:
        return bool(self._digits_left)

    def detach(self) -> None:
        """Break the reference cycle with the session; no callback reaches it afterwards."""
        self._listener = None

    # --- pjsua2's callbacks

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        if self._listener is None:
            return
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            if _has_audio(info):
                self._listener.on_leg_event(LegAnswered(self._leg))
            else:
                # PJSIP ends the dialog by itself; whether the party answers its BYE changes nothing.
                self._listener.on_leg_event(LegEnded(self._leg, NOT_ACCEPTABLE_HERE, by_us=True))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            last = _message(prm.e)
            if info.lastStatusCode in REDIRECTIONS:
                self.redirect_targets = contact_uris(last)
            # After a 2xx PJSIP ends what it cannot use, such as an answer without SDP.
            by_us = not last or last.startswith("SIP/2.0 2")
            ended = LegEnded(self._leg, info.lastStatusCode, q850_cause(last), by_us)
            self._listener.on_leg_event(ended)

    def onCallSdpCreated(self, prm: pj.OnCallSdpCreatedParam) -> None:
        """Say which packet length we want: PJSIP leaves a=ptime (RFC 8866, section 6.4) out."""
        prm.sdp.wholeSdp = with_ptime(prm.sdp.wholeSdp, self._trunk.ptime)

    def onCallRxOffer(self, prm: pj.OnCallRxOfferParam) -> None:
        """Without a codec of ours it is refused (RFC 3261, section 14.2), and the audio goes on as it was."""
        if not offers_codec(prm.offer.wholeSdp, self._trunk.codecs):
            prm.statusCode = pj.PJSIP_SC_NOT_ACCEPTABLE_HERE

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:
        if prm.e.type != pj.PJSIP_EVENT_TSX_STATE:
            return
        transaction = prm.e.body.tsxState.tsx
        if transaction.role != pj.PJSIP_ROLE_UAC:
            if transaction.method == "INFO" and prm.e.body.tsxState.type == pj.PJSIP_EVENT_RX_MSG:
                message: str = prm.e.body.tsxState.src.rdata.wholeMsg
                self._info = read_info(message.partition("\r\n\r\n")[2])
            return
        if transaction.method == "INVITE" and transaction.state == pj.PJSIP_TSX_STATE_PROCEEDING:
            if self._listener is not None:
                self._listener.on_leg_event(LegProgress(self._leg, transaction.statusCode))
        elif transaction.method == "INFO" and transaction.state >= pj.PJSIP_TSX_STATE_COMPLETED:
            self._info_pending = False
        elif (
            transaction.statusCode == REQUEST_PENDING
            and transaction.state == pj.PJSIP_TSX_STATE_COMPLETED
            and self._listener is not None
        ):
            self._listener.on_leg_glare(self._leg, transaction.method)

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: ARG002
        if self._listener is not None:
            self._listener.on_leg_media(self._leg)

    def onStreamCreated(self, prm: pj.OnStreamCreatedParam) -> None:
        self._stream = prm.streamIdx

    def onStreamDestroyed(self, prm: pj.OnStreamDestroyedParam) -> None:
        if prm.streamIdx != self._stream:
            return
        self._ended_streams = self.reading()
        self._stream = self._codec = None
        if self._listener is not None:
            self._listener.on_leg_media_gone(self._leg)

    def onDtmfEvent(self, prm: pj.OnDtmfEventParam) -> None:
        if self._listener is None:
            return
        if prm.method != pj.PJSUA_DTMF_METHOD_SIP_INFO:
            self._events_come = True
            ended = bool(prm.flags & DTMF_IS_END)
            self._listener.on_leg_digit(self._leg, prm.digit, prm.timestamp, prm.duration, ended)
        # Gateways that send a digit in both ways mean it once.
        elif self._info is not None and not self._events_come:
            # Two INFOs of one millisecond are two digits: SIP has removed the copies.
            self._infos += 1
            press = self._info
            self._listener.on_leg_digit(self._leg, press.digit, -self._infos, press.duration_ms, True)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        """REFER is refused: pjsua2 would dial whatever the party names, at the enterprise's cost."""
        prm.statusCode = pj.PJSIP_SC_FORBIDDEN

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:
        """An INVITE with Replaces (RFC 3891) is refused: it would put a stranger in a party's place."""
        prm.statusCode = pj.PJSIP_SC_FORBIDDEN

    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:  # noqa: ARG002
        """No Contact is followed in this dialog: the leg ends with its 3xx, and the call decides."""
        return int(pj.PJSIP_REDIRECT_REJECT)

    # ---

    def _sends_info(self) -> bool:
        if self._trunk.digits != "auto" or self._stream is None:
            return self._trunk.digits == "info"
        return bool(self.getStreamInfo(self._stream).audTxEventPt < 0)

    def _read_stream(self) -> StreamReading | None:
        if self._stream is None:
            return None
        try:
            if self._codec is None:
                info = self.getStreamInfo(self._stream)
                setting = info.audCodecParam
                frame = setting.info.frameLen * setting.setting.frmPerPkt
                self._codec = (info.codecName, info.codecClockRate, float(frame))
            stat = self.getStreamStat(self._stream)
        except pj.Error:
            return None  # between two streams
        codec, clock_rate, frame = self._codec
        received, delay = stat.rtcp.rxStat, stat.rtcp.rttUsec
        return StreamReading(
            codec=codec,
            clock_rate=clock_rate,
            sent=stat.rtcp.txStat.pkt,
            received=received.pkt,
            lost=received.loss,
            discarded=stat.jbuf.discard,
            jitter=received.jitterUsec.mean / 1000,
            round_trip=delay.mean / 1000 if delay.n else None,
            buffer=float(stat.jbuf.avgDelayMsec),
            decoded=received.pkt - received.discard,
            frame=frame,
        )


def _audio_only() -> pj.CallOpParam:
    prm = pj.CallOpParam(True)
    prm.opt.audioCount = 1
    prm.opt.videoCount = 0
    prm.opt.textCount = 0
    return prm


def _has_audio(info: pj.CallInfo) -> bool:
    unusable = (pj.PJSUA_CALL_MEDIA_NONE, pj.PJSUA_CALL_MEDIA_ERROR)
    return any(m.type == pj.PJMEDIA_TYPE_AUDIO and m.status not in unusable for m in info.media)


def _header(name: str, value: str) -> pj.SipHeader:
    header = pj.SipHeader()
    header.hName, header.hValue = name, value
    return header


def _message(event: pj.SipEvent) -> str:
    """The SIP message that ended the leg; empty if none did."""
    if event.type != pj.PJSIP_EVENT_TSX_STATE or event.body.tsxState.type != pj.PJSIP_EVENT_RX_MSG:
        return ""
    return str(event.body.tsxState.src.rdata.wholeMsg)
