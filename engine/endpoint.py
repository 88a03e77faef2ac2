"""The pjsua2 endpoint: one per process, touched by one thread."""

from __future__ import annotations

import ctypes
from collections import deque
from pathlib import Path

import _pjsua2
import pjsua2 as pj

from config import SipSettings, TrunkSettings
from engine.call_audio import play_tone
from engine.stray_requests import StrayRequests
from engine.tracing import MESSAGE_LEVEL, PjLog

NARROWBAND, WIDEBAND = 8000, 16000
BRIDGE_PTIME = 20
"""Milliseconds of the bridge's clock; each leg's packets may be longer or shorter."""
AMR_RATE = 12_200
"""Bits per second: the mode of telephone networks; pjmedia's own choice is 5900."""
G722_SHIFT = 1
"""Bits by which pjmedia's G.722 shifts samples, so that its levels are those of ITU-T's code (G.191).
With pjmedia's own choice, 2, we send 6 dB too little, and hear 6 dB too much until it clips."""
LEGS_PER_CALL = 2
SPARE_CALLS = 64
"""Room for legs that PJSIP has not let go of yet."""
PORTS_PER_CALL = 6
"""Two legs, up to two recorders, a tone or a prompt, a beep."""
RELIABLE = {
    "off": pj.PJSUA_100REL_NOT_USED,
    "optional": pj.PJSUA_100REL_OPTIONAL,
    "required": pj.PJSUA_100REL_MANDATORY,
}
SESSION_TIMER = {
    "off": pj.PJSUA_SIP_TIMER_INACTIVE,
    "optional": pj.PJSUA_SIP_TIMER_OPTIONAL,
    "required": pj.PJSUA_SIP_TIMER_REQUIRED,
    "always": pj.PJSUA_SIP_TIMER_ALWAYS,
}


def bridge_rate(trunk: TrunkSettings) -> int:
    """Samples per second in the bridge."""
    return WIDEBAND if trunk.is_wideband else NARROWBAND


class SipEndpoint(pj.Endpoint):  # type: ignore[misc]
    """The SIP stack, its transport, its clock and the trunk's account."""

    def __init__(self, sip: SipSettings, trunk: TrunkSettings, *, capacity: int, log: PjLog) -> None:
        """Raises pj.Error when the stack cannot start, for example when the port is taken."""
        super().__init__()
        self._library = ctypes.CDLL(_pjsua2.__file__)
        self.removed_ports: deque[int] = deque()
        """Bridge ports whose removal completed; filled by the media thread, emptied by the PJ thread."""
        self.clock_rate = bridge_rate(trunk)
        self.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = LEGS_PER_CALL * capacity + SPARE_CALLS
        config.uaConfig.userAgent = sip.user_agent
        config.logConfig.level = max(sip.log_level, MESSAGE_LEVEL if sip.trace else 0)
        config.logConfig.consoleLevel = config.logConfig.level  # gates the writer, too
        config.logConfig.msgLogging = int(sip.trace)
        config.logConfig.decor = 0
        config.logConfig.writer = log.__disown__()  # libDestroy deletes it
        media = config.medConfig
        media.clockRate = self.clock_rate
        media.sndClockRate = self.clock_rate
        media.audioFramePtime = BRIDGE_PTIME
        media.maxMediaPorts = PORTS_PER_CALL * capacity + SPARE_CALLS
        media.quality = 1
        media.ecTailLen = 0
        media.noVad = True
        media.sndAutoCloseTime = -1
        self.libInit(config)
        self._stray_requests = StrayRequests(self._library)
        transport = pj.TransportConfig()
        transport.port = sip.port
        transport.boundAddress = sip.bind_address
        if sip.public_address:
            transport.publicAddress = sip.public_address
        transport_id = self.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self.libStart()
        self.audDevManager().setNullDev()
        self._set_codecs(trunk)
        self.address: str = self.transportGetInfo(transport_id).localName
        """host:port under which the trunk reaches us."""
        self.account = pj.Account()
        self.account.create(self._account_config(sip, trunk, transport_id), True)
        self.nowhere = self.audDevManager().getPlaybackDevMedia()
        """The null device: takes audio and plays it to nobody."""
        self.silence = play_tone(None, self.clock_rate)
        """Drives recorders while nothing else does."""

    def play_hold_music(self, path: Path) -> None:
        """For all calls at once. Raises pj.Error."""
        self.hold_music = pj.AudioMediaPlayer()
        self.hold_music.createPlayer(str(path))
        self._own_ports: int = self.mediaActivePorts()

    def dialog_count(self) -> int:
        """SIP dialogs that are not over yet; pjsua2 itself tells only of calls it still shows us."""
        return int(self._library.pjsip_ua_get_dlg_set_count())

    @property
    def call_ports(self) -> int:
        """Bridge ports that calls hold."""
        return int(self.mediaActivePorts()) - self._own_ports

    def onAudioMediaOpCompleted(self, prm: pj.OnAudioMediaOpCompletedParam) -> None:
        """Called by the media thread: only note it."""
        if prm.opType == pj.PJMEDIA_CONF_OP_REMOVE_PORT:
            self.removed_ports.append(prm.opParam.removeInfo.mediaId)

    def close(self) -> None:
        """Shut the stack down; every Call and media object must be gone by now."""
        self.account.shutdown()
        del self.account, self.silence, self.hold_music, self.nowhere
        self.libDestroy()

    def _set_codecs(self, trunk: TrunkSettings) -> None:
        self._library.pjmedia_codec_g722_set_pcm_shift(G722_SHIFT)
        for codec in self.codecEnum2():
            name = codec.codecId.split("/", 1)[0]
            rank = trunk.codecs.index(name) if name in trunk.codecs else None
            self.codecSetPriority(codec.codecId, 0 if rank is None else 255 - rank)
            if rank is not None:
                # What a peer without a=ptime gets. (`medConfig.ptime` would overrule what a=ptime asks for.)
                parameters = self.codecGetParam(codec.codecId)
                parameters.setting.frmPerPkt = max(1, trunk.ptime // parameters.info.frameLen)
                if name == "AMR":
                    parameters.info.avgBps = AMR_RATE
                self.codecSetParam(codec.codecId, parameters)

    def _account_config(self, sip: SipSettings, trunk: TrunkSettings, transport_id: int) -> pj.AccountConfig:
        config = pj.AccountConfig()
        # The user part never names a party: this is what both see in Contact.
        config.idUri = f"<sip:dialbridge@{self.address}>"
        config.sipConfig.transportId = transport_id
        config.natConfig.contactRewriteUse = 0
        config.natConfig.viaRewriteUse = 0
        config.natConfig.sdpNatRewriteUse = 0
        config.natConfig.sipOutboundUse = 0
        if trunk.credentials is not None:
            own = trunk.credentials
            config.sipConfig.authCreds.append(
                pj.AuthCredInfo("digest", own.realm, own.username, 0, own.password.get_secret_value())
            )
        config.callConfig.prackUse = RELIABLE[trunk.reliable_provisional]
        config.callConfig.timerUse = SESSION_TIMER[trunk.session_timer]
        config.callConfig.timerSessExpiresSec = trunk.session_expires
        config.callConfig.timerMinSESec = trunk.min_se
        rtp = config.mediaConfig.transportConfig
        rtp.boundAddress = sip.bind_address
        rtp.port = sip.rtp_port_min
        rtp.portRange = sip.rtp_port_max - sip.rtp_port_min
        if sip.public_address:
            rtp.publicAddress = sip.public_address
        config.videoConfig.autoShowIncoming = False
        config.videoConfig.autoTransmitOutgoing = False
        return config
