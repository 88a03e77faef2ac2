"""The lossy path itself: what it loses and delays, and that it leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.lossy_path import ENGINE_HOST, PHONES_HOST, Carried, LossyPath, NoLossyPathError
from tests.support.rtp_peer import RtpPeer
from tests.support.waiting import wait_until

PACKETS = 2000


@pytest.fixture
def path() -> Iterator[LossyPath]:
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(LossyPath(loss=0.05, jitter_ms=30))
        except NoLossyPathError as error:
            pytest.skip(str(error))
        yield opened


def bound(host: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    try:
        made.bind((host, 0))
    except OSError:
        made.close()
        raise
    made.settimeout(10.0)
    return made


@pytest.mark.parametrize("direction", ["to the engine", "to the phones"])
def test_loses_delays_and_reorders_what_it_was_asked_to(path: LossyPath, direction: str) -> None:
    with path.among_phones():
        phone = bound(PHONES_HOST)
    with path.beside_engine():
        engine = bound(ENGINE_HOST)
    source, target = (phone, engine) if direction == "to the engine" else (engine, phone)
    arrived: dict[int, tuple[float, int]] = {}
    sent: list[float] = []

    def carried() -> Carried:
        return path.to_engine if direction == "to the engine" else path.to_phones

    def receive() -> None:
        while (data := target.recv(100)) != b"end":
            arrived[int(data)] = time.monotonic(), len(arrived)

    with phone, engine:
        receiver = threading.Thread(target=receive)
        receiver.start()
        pace = threading.Event()
        for number in range(PACKETS):
            sent.append(time.monotonic())
            source.sendto(str(number).encode(), target.getsockname())
            pace.wait(0.001)
        wait_until(lambda: carried().sent == PACKETS and len(arrived) == PACKETS - carried().lost)
        with (
            path.among_phones() if target is phone else path.beside_engine(),
            bound(target.getsockname()[0]) as own,
        ):
            own.sendto(b"end", target.getsockname())
        receiver.join()
    # Five standard deviations to either side.
    assert 0.026 * PACKETS < carried().lost < 0.074 * PACKETS
    delays = sorted(at - sent[number] for number, (at, _) in arrived.items())
    assert delays[len(delays) // 2] > 0.010
    assert delays[len(delays) * 9 // 10] > 0.022
    assert delays[len(delays) // 2] < 0.100, "with room for a slow machine's own delay"
    assert [place for _, (_, place) in sorted(arrived.items())] != list(range(len(arrived)))
    other = path.to_phones if direction == "to the engine" else path.to_engine
    assert other.sent == 0


def test_tcp_loses_nothing(path: LossyPath) -> None:
    with path.beside_engine(), bound(ENGINE_HOST, socket.SOCK_STREAM) as listener:
        listener.listen()
        with path.among_phones(), socket.create_connection(listener.getsockname(), 5.0) as client:
            server, _ = listener.accept()
            with server:
                client.sendall(bytes(50_000))
                client.shutdown(socket.SHUT_WR)
                received = 0
                while data := server.recv(65536):
                    received += len(data)
    assert received == 50_000


def test_each_side_has_its_own_half_of_the_loopback_network(path: LossyPath) -> None:
    with path.among_phones(), bound("127.0.0.7") as one, bound("127.5.0.1") as other:
        one.sendto(b"beside", other.getsockname())
        assert other.recvfrom(100) == (b"beside", one.getsockname())
        with pytest.raises(OSError, match="assign"):
            bound(ENGINE_HOST)
    with path.beside_engine(), pytest.raises(OSError, match="assign"):
        bound(PHONES_HOST)


def test_processes_run_on_either_side(path: LossyPath) -> None:
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        f"s.bind(('{ENGINE_HOST}', 0)); print(s.getsockname()[0])"
    )
    command = path.at_engine((sys.executable, "-c", program))
    assert subprocess.run(command, check=True, capture_output=True).stdout.decode().strip() == ENGINE_HOST
    with path.among_phones():
        failed = subprocess.run((sys.executable, "-c", program), check=False, capture_output=True)
    assert failed.returncode == 1


def test_audio_goes_through_with_holes(path: LossyPath) -> None:
    with (
        path.beside_engine(),
        RtpPeer(1000, host=ENGINE_HOST) as far,
        path.among_phones(),
        RtpPeer(440) as near,
    ):
        near.remote = (ENGINE_HOST, far.port)
        far.wait_for_audio(packets=100)
        near.wait_for_audio(packets=100)
        assert near.missing_sequences() + far.missing_sequences() > 0
        assert far.packets()[0].source == (PHONES_HOST, near.port)


def test_two_paths_do_not_meet(path: LossyPath) -> None:
    with LossyPath(loss=0, jitter_ms=0) as other:
        with other.beside_engine(), bound(ENGINE_HOST) as listener:
            address = listener.getsockname()
            with path.among_phones(), bound(PHONES_HOST) as stranger:
                stranger.sendto(b"wrong path", address)
            with other.among_phones(), bound(PHONES_HOST) as phone:
                phone.sendto(b"right path", address)
            assert listener.recv(100) == b"right path"
        assert other.to_engine.sent == 1


def test_leaves_nothing_behind() -> None:
    def state() -> tuple[str, list[str], list[str]]:
        namespace = str(Path("/proc/thread-self/ns/net").readlink())
        open_files = sorted(f.name for f in Path("/proc/self/fd").iterdir())
        return namespace, open_files, sorted(d.name for d in Path("/sys/class/net").iterdir())

    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before, others = state(), children()
    try:
        with LossyPath() as path, path.among_phones():
            assert str(Path("/proc/thread-self/ns/net").readlink()) != before[0]
            relays = children() - others
    except NoLossyPathError as error:
        pytest.skip(str(error))
    assert state() == before
    assert relays
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in relays))
