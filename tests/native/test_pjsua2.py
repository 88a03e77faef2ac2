from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_installed_pjsua2_is_our_server_build() -> None:
    """Its limits are those of config_site.h and it has all codecs."""
    check = subprocess.run(
        (sys.executable, "-m", "native.check_pjsua2"),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert check.returncode == 0, check.stderr
    # Plain level-triggered epoll, not select() with its 1024 sockets.
    assert "epoll I/O Queue created (flags:0x0" in check.stdout
