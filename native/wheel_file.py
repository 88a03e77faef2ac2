"""Writes a binary wheel (PEP 427 and the "Binary distribution format" specification)."""

from __future__ import annotations

import base64
import hashlib
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

NAME = "pjsua2"

METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: pjproject's SIP and media library, compiled for a server
License-Expression: GPL-2.0-or-later
License-File: COPYING
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: dialbridge-native
Root-Is-Purelib: false
Tag: {tag}
"""


def interpreter_tag() -> str:
    """The compatibility tag of the running CPython: version, ABI and platform."""
    cpython = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{cpython}-{cpython}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def write_wheel(directory: Path, version: str, modules: Mapping[str, Path], licence: Path) -> Path:
    """Pack `modules` (name in the wheel to file) and return the wheel's path in `directory`."""
    tag = interpreter_tag()
    info = f"{NAME}-{version}.dist-info"
    content = {name: path.read_bytes() for name, path in modules.items()}
    content[f"{info}/licenses/COPYING"] = licence.read_bytes()
    content[f"{info}/METADATA"] = METADATA.format(name=NAME, version=version).encode()
    content[f"{info}/WHEEL"] = WHEEL.format(tag=tag).encode()
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    wheel = directory / f"{NAME}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return wheel


def _digest(data: bytes) -> str:
    """As RECORD wants it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
