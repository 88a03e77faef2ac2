"""A path between the phones and the engine that loses and delays UDP, in both directions, SIP and RTP alike.

SIP bodies carry addresses, so a relay of single ports would have to rewrite them. Instead each side has a
network namespace of its own, joined by two TUN devices and `lossy_relay` between them (not every kernel has
netem). Together they have the loopback network: the phones 127.0.0.0/9, with 127.0.0.1 as on any machine, and
the engine 127.128.0.0/9. So tests run over the path unchanged, and nothing of it is visible outside.

The namespaces have no names: they are gone as soon as the path is closed and no process is in them.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.support.lossy_relay import COUNTERS

PHONES_HOST = "127.0.0.1"
ENGINE_HOST = "127.128.0.1"
HALF = "255.128.0.0"
"""Of the loopback network."""

_RELAY = Path(__file__).with_name("lossy_relay.py")
_CLONE_NEWNET = 0x40000000  # sched.h
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFDSTADDR, _SIOCSIFNETMASK = (
    0x8913,
    0x8914,
    0x8916,
    0x8918,
    0x891C,
)  # linux/sockios.h
_IFF_UP = 0x1
_libc = ctypes.CDLL(None, use_errno=True)


class NoLossyPathError(Exception):
    """The kernel has no namespaces or TUN devices, or we may not make them; the message says which."""


@dataclass(frozen=True, slots=True)
class Carried:
    """UDP packets of one direction."""

    sent: int
    lost: int


@dataclass(frozen=True, slots=True)
class _Side:
    """File descriptors of a namespace and the TUN device in it."""

    namespace: int
    tun: int


class LossyPath:
    """A context manager; raises NoLossyPathError. `loss` is 0..1, `jitter_ms` the longest delay of a packet.

    In a thread that is `among_phones`, everything is as on any machine, but the engine is at ENGINE_HOST.
    """

    def __init__(self, *, loss: float = 0.05, jitter_ms: float = 30.0, seed: int = 1) -> None:
        self.loss = loss
        self.jitter_ms = jitter_ms
        self._seed = seed
        self._exit = ExitStack()

    def __enter__(self) -> LossyPath:
        try:
            self._open()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @contextmanager
    def among_phones(self) -> Iterator[None]:
        """The sockets this thread makes, and the threads and processes it starts, are on the phones' side."""
        with _inside(self._phones.namespace):
            yield

    @contextmanager
    def beside_engine(self) -> Iterator[None]:
        """The same for the engine's side."""
        with _inside(self._engine.namespace):
            yield

    def at_engine(self, command: Sequence[str]) -> tuple[str, ...]:
        """How to run a command on the engine's side, whoever starts it while the path is open."""
        return ("nsenter", f"--net=/proc/{os.getpid()}/fd/{self._engine.namespace}", "--", *command)

    @property
    def to_engine(self) -> Carried:
        return Carried(*COUNTERS.unpack(self._counters[:])[:2])

    @property
    def to_phones(self) -> Carried:
        return Carried(*COUNTERS.unpack(self._counters[:])[2:])

    def _open(self) -> None:
        self._phones = self._side(PHONES_HOST, ENGINE_HOST)
        self._engine = self._side(ENGINE_HOST, PHONES_HOST)
        counters = self._closing(os.memfd_create("lossy-path"))
        os.truncate(counters, COUNTERS.size)
        self._counters = self._exit.enter_context(mmap.mmap(counters, COUNTERS.size))
        files = (self._phones.tun, self._engine.tun, counters)
        values = (self.loss, self.jitter_ms / 1000, self._seed)
        relay = subprocess.Popen(
            (sys.executable, str(_RELAY), *(str(word) for word in (*files, *values))),
            stdin=subprocess.PIPE,
            pass_fds=files,
        )
        self._exit.callback(_end, relay)

    def _side(self, address: str, other: str) -> _Side:
        """A new namespace with its half of the loopback network and a TUN device towards the other half."""
        made: list[_Side] = []
        failed: list[OSError] = []

        def make() -> None:  # in a thread of its own: it stays in the namespace
            try:
                _call("unshare", _CLONE_NEWNET)
                namespace = self._closing(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
                tun = self._closing(os.open("/dev/net/tun", os.O_RDWR))
                fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", b"path", _IFF_TUN | _IFF_NO_PI))
                # Addresses of the loopback network may then come and go by another device.
                Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1")
                _configure("lo", address, None)
                _configure("path", address, other)
                made.append(_Side(namespace, tun))
            except OSError as error:
                failed.append(error)

        maker = threading.Thread(target=make, name="namespace")
        maker.start()
        maker.join()
        if failed:
            raise NoLossyPathError(
                f"the lossy path needs network namespaces and /dev/net/tun, and root to use them: {failed[0]}"
            )
        return made[0]

    def _closing(self, descriptor: int) -> int:
        self._exit.callback(os.close, descriptor)
        return descriptor


@contextmanager
def _inside(namespace: int) -> Iterator[None]:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _call("setns", namespace, _CLONE_NEWNET)
        try:
            yield
        finally:
            _call("setns", before, _CLONE_NEWNET)
    finally:
        os.close(before)


def _configure(device: str, address: str, other: str | None) -> None:
    """Switch on a device of this thread's namespace and give it its half of the network (netdevice(7)).

    In this order: the kernel gives the whole of 127.0.0.0/8 to `lo` when it comes up.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name = struct.pack("16s", device.encode())

        def set_address(request: int, value: str) -> None:
            fcntl.ioctl(
                control, request, name + struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
            )

        flags = struct.unpack("16xH22x", fcntl.ioctl(control, _SIOCGIFFLAGS, name + bytes(24)))[0]
        fcntl.ioctl(control, _SIOCSIFFLAGS, name + struct.pack("=H22x", flags | _IFF_UP))
        set_address(_SIOCSIFADDR, address)
        if other is not None:
            set_address(_SIOCSIFDSTADDR, other)
        set_address(_SIOCSIFNETMASK, HALF)


def _call(function: str, *arguments: int) -> None:
    """A function of the C library. Raises OSError."""
    if getattr(_libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _end(relay: subprocess.Popen[bytes]) -> None:
    relay.communicate()
