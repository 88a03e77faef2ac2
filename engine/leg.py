"""One leg: a pjsua2 call towards one party."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pjsua2 as pj

from engine.signals import Leg, LegAnswered, LegEnded, LegRinging
from engine.sip_messages import q850_cause

LegEvent = LegRinging | LegAnswered | LegEnded


class PartyCall(pj.Call):  # type: ignore[misc]
    """Tells `on_event` what the network says and `on_media` when its audio can be (re)connected."""

    def __init__(
        self,
        account: pj.Account,
        leg: Leg,
        *,
        on_event: Callable[[LegEvent], None],
        on_media: Callable[[Leg], None],
    ) -> None:
        super().__init__(account)
        self._leg = leg
        self._on_event: Callable[[LegEvent], None] | None = on_event
        self._on_media: Callable[[Leg], None] | None = on_media
        self._hanging_up = False
        self.sip_call_id = str(uuid4())
        """Ours to choose, so that the trace knows it before the INVITE leaves."""

    def dial(self, party: str, *, shown: str, trunk: str, local_host: str) -> None:
        """Send the INVITE. `party` and `shown` are E.164 numbers, `trunk` host:port. Raises pj.Error."""
        prm = pj.CallOpParam(True)
        prm.opt.audioCount = 1
        prm.opt.videoCount = 0
        prm.opt.textCount = 0
        prm.opt.customCallId = self.sip_call_id
        identity = f"<sip:{shown}@{local_host}>"
        prm.txOption.localUri = identity
        asserted = pj.SipHeader()
        asserted.hName = "P-Asserted-Identity"  # RFC 3325
        asserted.hValue = identity
        prm.txOption.headers.append(asserted)
        self.makeCall(f"sip:{party}@{trunk}", prm)

    def end(self) -> None:
        """CANCEL or BYE, whichever fits; does nothing when the leg is ending already."""
        if self._hanging_up or not self.isActive():
            return
        self._hanging_up = True
        self.hangup(pj.CallOpParam())

    def audio(self) -> pj.AudioMedia | None:
        """The leg's bridge port, None while there is no audio."""
        info = self.getInfo()  # owns the vector: a temporary would be freed under the loop
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE:
                return self.getAudioMedia(media.index)
        return None

    def detach(self) -> None:
        """Break the reference cycle with the session; no callback reaches it afterwards."""
        self._on_event = None
        self._on_media = None

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        if self._on_event is None:
            return
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            self._on_event(LegRinging(self._leg))
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._on_event(LegAnswered(self._leg))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._on_event(LegEnded(self._leg, info.lastStatusCode, _q850_of(prm.e)))

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: ARG002
        if self._on_media is not None:
            self._on_media(self._leg)

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        """REFER is refused: pjsua2 would dial whatever the party names, at the enterprise's cost."""
        prm.statusCode = pj.PJSIP_SC_FORBIDDEN

    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:
        """An INVITE with Replaces (RFC 3891) is refused: it would put a stranger in a party's place."""
        prm.statusCode = pj.PJSIP_SC_FORBIDDEN

    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:  # noqa: ARG002
        """A 3xx is a failure: following it could ring a destination nobody allowed."""
        return int(pj.PJSIP_REDIRECT_STOP)


def _q850_of(event: pj.SipEvent) -> int | None:
    """The Q.850 cause in the message that ended the leg, if a message did."""
    if event.type != pj.PJSIP_EVENT_TSX_STATE or event.body.tsxState.type != pj.PJSIP_EVENT_RX_MSG:
        return None
    return q850_cause(event.body.tsxState.src.rdata.wholeMsg)
