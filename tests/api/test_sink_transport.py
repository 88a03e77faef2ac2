"""What a sink's name leads to is checked where the connection is made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api import rebinding

# A resolver of its own: its own network, and its own /etc/resolv.conf in its own mount namespace.
IN_NAMESPACES = (
    'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/nsswitch.conf && shift 1 && exec "$@"'
)


def resolve_to(tmp_path: Path, *answers: str) -> dict[str, Any]:
    resolver, order = tmp_path / "resolv.conf", tmp_path / "nsswitch.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    order.write_text("hosts: dns\n")
    command = ["unshare", "--net", "--mount", "sh", "-c", IN_NAMESPACES, str(resolver), str(order)]
    command += [sys.executable, "-m", rebinding.__name__, *answers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.1.1"])
def test_a_name_that_leads_inside_is_not_connected_to(tmp_path: Path, address: str) -> None:
    report = resolve_to(tmp_path, address)
    assert report["outcomes"] == ["ForbiddenAddressError"] * 3
    assert report["connections"] == 0
    if address == rebinding.LOOPBACK:
        assert report["connections_if_admitted"] == 1


def test_a_name_that_is_bound_anew_between_check_and_connection_wins_nothing(tmp_path: Path) -> None:
    # Whoever asks twice for one attempt gets the public address for the check and ours for the connection.
    report = resolve_to(tmp_path, rebinding.PUBLIC, rebinding.LOOPBACK)
    assert report["outcomes"] == ["ConnectError", "ForbiddenAddressError", "ForbiddenAddressError"]
    assert report["asked"] == 4, "once for each attempt"
    assert report["connections"] == 0
    assert report["connections_if_admitted"] == 1
