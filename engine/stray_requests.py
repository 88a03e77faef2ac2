"""Requests that belong to no dialog of ours: refused before PJSIP keeps anything of them.

Of each INVITE that anybody sends us pjsua would make a call, with a dialog, a transaction of 32 s and RTP
sockets, of each SUBSCRIBE a subscription; methods that it does not know would get no answer. pjsua2 offers no
way to step in before that. PJSIP does: a module, called for each request in the order of the priorities.
"""

from __future__ import annotations

import ctypes

PJSIP_MOD_PRIORITY_UA_PROXY_LAYER = 32
"""PJSIP's dialogs are here: they have taken theirs, and refused with 481 what claims to be theirs."""
PASS_ON, TAKEN = 0, 1
FORBIDDEN = 403
"""RFC 3261, section 21.4.4; the policy towards whoever asks comes before the method (section 8.2)."""
OnRequest = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class _Name(ctypes.Structure):
    """pj_str_t."""

    _fields_ = (("characters", ctypes.c_char_p), ("length", ctypes.c_ssize_t))


class _Module(ctypes.Structure):
    """pjsip_module (pjsip/sip_module.h)."""

    _fields_ = (
        ("previous", ctypes.c_void_p),
        ("next", ctypes.c_void_p),
        ("name", _Name),
        ("id", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("load", ctypes.c_void_p),
        ("start", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("unload", ctypes.c_void_p),
        ("on_rx_request", OnRequest),
        ("on_rx_response", ctypes.c_void_p),
        ("on_tx_request", ctypes.c_void_p),
        ("on_tx_response", ctypes.c_void_p),
        ("on_tsx_state", ctypes.c_void_p),
    )


class StrayRequests:
    """Answers them from when it is made on; keep it as long as PJSIP runs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """`library`: pjsua2, initialised. Raises OSError if PJSIP does not take the module."""
        library.pjsua_get_pjsip_endpt.restype = ctypes.c_void_p
        self._endpoint = ctypes.c_void_p(library.pjsua_get_pjsip_endpt())
        self._describe = library.pjsip_rx_data_get_info
        self._describe.argtypes, self._describe.restype = (ctypes.c_void_p,), ctypes.c_char_p
        self._respond = library.pjsip_endpt_respond_stateless
        self._respond.argtypes = (*2 * (ctypes.c_void_p,), ctypes.c_int, *3 * (ctypes.c_void_p,))
        name = b"mod-stray-requests"
        self._module = _Module(
            name=_Name(name, len(name)),
            id=-1,
            priority=PJSIP_MOD_PRIORITY_UA_PROXY_LAYER + 1,
            on_rx_request=OnRequest(self._on_request),
        )
        status = library.pjsip_endpt_register_module(self._endpoint, ctypes.byref(self._module))
        if status != 0:
            raise OSError(status, "PJSIP does not take a module for stray requests")

    def _on_request(self, received: int) -> int:
        """Called by PJSIP on the PJ thread with a pjsip_rx_data."""
        method = method_of(self._describe(received))
        if method == b"OPTIONS":
            return (
                PASS_ON  # pjsua answers it without keeping anything: the trunk may ask whether we are alive
            )
        if method != b"ACK":  # nobody answers an ACK
            self._respond(self._endpoint, received, FORBIDDEN, None, None, None)
        return TAKEN


def method_of(description: bytes) -> bytes:
    """Of a request as PJSIP describes it: `Request msg INVITE/cseq=1 (rdata0x1)`; empty if too long."""
    start, _, rest = description.partition(b" msg ")
    return rest.partition(b"/")[0] if start == b"Request" else b""
