"""Run in namespaces of its own: a sink whose name leads wherever the arguments say, one after the other.

Standard output gets a JSON object: how the attempt ended, which names were asked for, which connections this
machine's own service saw.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading

import httpx2

from api.sink_addresses import SinkAddresses
from api.sink_transport import sink_client

PUBLIC = "93.184.215.14"
LOOPBACK = "127.0.0.1"


class Nameserver:
    """Answers each question for an A record with the next of its addresses, and the last one for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            question = query[12 : query.index(0, 12) + 5]
            (kind,) = struct.unpack("!H", question[-4:-2])
            answer = b""
            if kind == 1:
                address = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self.asked += 1
                answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(address)
            header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, bool(answer), 0, 0)
            self._socket.sendto(header + question + answer, client)


class OwnService:
    """What must not be reached: notes each connection."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server((LOOPBACK, 80))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            self.connections += 1
            connection.close()


async def attempt(addresses: SinkAddresses) -> str:
    async with sink_client(addresses, timeout=2, connections=1) as http:
        try:
            await http.post("http://sink.example.com/", content=b"{}")
        except httpx2.HTTPError as error:
            return type(error.__cause__ or error).__name__
        return "answered"


def main(answers: list[str]) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    nameserver, service = Nameserver(*answers), OwnService()
    outcomes = [asyncio.run(attempt(SinkAddresses())) for _ in range(3)]
    refused = service.connections
    # Proof that the service would have been reached.
    asyncio.run(attempt(SinkAddresses(anywhere=True)))
    report = {
        "outcomes": outcomes,
        "asked": nameserver.asked,
        "connections": refused,
        "connections_if_admitted": service.connections - refused,
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
