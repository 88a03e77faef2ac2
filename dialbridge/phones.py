"""The lab's phones: SIPp playing `sipp-scenarios/phones.xml`, the tones and the digits they play."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import numpy as np

from dialbridge.child import ChildSpec
from dialbridge.digits_phone import DYNAMIC_TYPES, port_of
from dialbridge.ports import HOST, free_hundred, free_media_port, free_udp, is_bound_udp

SCENARIO = Path(__file__).resolve().parent.parent / "sipp-scenarios" / "phones.xml"
TONES = (440, 620, 1000)
"""Hz; whole numbers, so that one second of each is a whole number of periods."""
RATE = 8000
_ENTRY = re.compile(r"(?=\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d)")
_HEADING = "The following events occurred:\n"
"""Of SIPp's error file."""
AMPLITUDE = 8000
"""About 12 dB below full scale: two phones mixed do not clip."""


class PhonesMissingError(Exception):
    """SIPp is not installed, or the scenario is not where the sources are."""


@dataclass(frozen=True, slots=True)
class Phones:
    sip_port: int
    children: tuple[ChildSpec, ...]


def lab_phones(directory: Path) -> Phones:
    """Phones on free ports; `directory` gets the tone files and SIPp's error files.

    Raises PhonesMissingError with the remedy.
    """
    if which("sipp") is None:
        raise PhonesMissingError("sipp is not installed: apt-get install sip-tester")
    if not SCENARIO.exists():
        raise PhonesMissingError(f"{SCENARIO} is missing: run the lab from a checkout of the sources")
    directory = directory.resolve()  # SIPp runs inside it
    directory.mkdir(parents=True, exist_ok=True)
    for frequency in TONES:
        (directory / f"tone_{frequency}.ulaw").write_bytes(mulaw_tone(frequency))
    sip, control, echo_sip, echo_control = free_udp(4)
    media = free_media_port()
    echo = free_media_port()
    while abs(echo - media) < 4:
        echo = free_media_port()
    digits = free_hundred()
    while digits in {port // 100 for first in (media, echo) for port in (first, first + 3)}:
        digits = free_hundred()
    keys = ("-key", "echo_port", str(echo), "-key", "digits_ports", str(digits))
    phones = _sipp(
        "phones",
        directory,
        ("-sf", str(SCENARIO), "-aa", *keys),
        sip=sip,
        control=control,
        media=media,
    )
    # SIPp's -rtp_echo returns whatever reaches its media port, and the tones leave from that same port: what
    # a tone phone hears would come back with its tone. So the echo is a process of its own, without any call.
    mirror = _sipp(
        "echo", directory, ("-sn", "uas", "-rtp_echo"), sip=echo_sip, control=echo_control, media=echo
    )
    sender = ChildSpec(
        "digits",
        (sys.executable, "-m", "dialbridge.digits_phone", HOST, str(digits)),
        quiet=True,
        stop_timeout=3.0,
        is_ready=lambda: is_bound_udp(port_of(str(digits), DYNAMIC_TYPES[-1])),
    )
    return Phones(sip, (mirror, sender, phones))


def mulaw_tone(frequency: int) -> bytes:
    """One second of a sine as raw mu-law (ITU-T G.711)."""
    samples = np.round(AMPLITUDE * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.int64)
    magnitude = np.abs(samples) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8))


def _sipp(
    name: str, directory: Path, scenario: tuple[str, ...], *, sip: int, control: int, media: int
) -> ChildSpec:
    errors = directory / f"{name}-errors.log"
    for former in (errors, *directory.glob(f"{name}_*_errors_*.log")):
        former.unlink(missing_ok=True)
    command = (
        *("sipp", *scenario, "-nostdin", "-skip_rlimit"),
        *("-i", HOST, "-bind_local", "-p", str(sip), "-ci", HOST, "-cp", str(control)),
        # Its receive buffer of 64 KiB loses INVITEs when a hundred come at once.
        *("-mi", HOST, "-mp", str(media), "-buff_size", "4000000"),
        # Its watchdog ends SIPp when a busy machine makes it late; phones that run for days must not.
        *("-watchdog_interval", "0"),
        *("-trace_err", "-error_file", str(errors), "-ringbuffer_files", "1", "-ringbuffer_size", "65536"),
    )
    return ChildSpec(
        name,
        command,
        directory=directory,
        quiet=True,
        stop_timeout=3.0,
        complaints=lambda: complaints(errors),
        is_ready=lambda: is_bound_udp(sip),
    )


def complaints(errors: Path, at_most: int = 5) -> str:
    """What SIPp complained of last, without the waits that its scenarios end by a timeout."""
    if not errors.exists():
        return ""
    entries = _ENTRY.split(errors.read_text(errors="replace").removeprefix(_HEADING))
    return "\n".join([e.strip() for e in entries if "receive timeout on message" not in e][-at_most:]).strip()
