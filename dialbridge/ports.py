"""Free ports of the loopback interface."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

HOST = "127.0.0.1"


def is_free_tcp(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier server in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_tcp() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def free_udp(count: int) -> list[int]:
    """Different free UDP ports."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def is_bound_udp(port: int) -> bool:
    """Whether some socket of this machine listens there (IPv4)."""
    wanted = f":{port:04X}"
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(wanted) for line in lines)


def free_media_port() -> int:
    """An even port, free with its next three (SIPp opens two even ones), below the engines' RTP."""
    while True:
        first = 10_000 + 2 * secrets.randbelow(4_990)
        probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind((HOST, first + offset))
        except OSError:
            continue
        else:
            return first
        finally:
            for probe in probes:
                probe.close()


def free_hundred() -> int:
    """A number whose hundred ports, from its 00 to its 99, are free, below the engines' RTP."""
    while True:
        hundred = 100 + secrets.randbelow(100)
        probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(100)]
        try:
            for last_digits, probe in enumerate(probes):
                probe.bind((HOST, 100 * hundred + last_digits))
        except OSError:
            continue
        else:
            return hundred
        finally:
            for probe in probes:
                probe.close()


def rtp_range(width: int = 4000) -> tuple[int, int]:
    """A range of RTP ports for an engine, below the ports the kernel gives out (32768 and up).

    Chosen at random: engines side by side seldom share one, and one port that is taken is passed over.
    """
    low = 20_000 + 2 * secrets.randbelow((12_000 - width) // 2)
    return low, low + width
