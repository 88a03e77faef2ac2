"""An enterprise's prompts: who hears which, when, in the recording or not, and how a call ends under each."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from state.call import DisconnectionReason as Reason
from state.call import RecordingResult
from tests.end_to_end.numbers import fresh_number
from tests.end_to_end.product import Product
from tests.sip.calls import assert_ended
from tests.sip.heard import heard, longest, runs, stations
from tests.sip.prompt_files import LENGTH, Prompt, announcements
from tests.support.calls_client import CallsClient
from tests.support.rtp_peer import RtpPeer
from tests.support.sip_trunk import Phone, SipTrunk
from tests.support.stack_settings import Overrides
from tests.support.waiting import wait_until

PROMPTS = {
    "hello": Prompt(500, rate=48000),
    "taped": Prompt(800, rate=44100, channels=2, subtype="FLOAT"),
    "engaged": Prompt(1100),
    "gone": Prompt(2300, rate=16000, subtype="PCM_24"),
    "wrong": Prompt(2600, rate=22050, subtype="ULAW"),
    "cut": Prompt(2900, rate=8000, channels=2),
}
TONES = {
    "c": 1700.0,
    "t": 2000.0,
    "r": 1400.0,
    **{name[0]: prompt.frequency for name, prompt in PROMPTS.items()},
}
