from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path

from native.wheel_file import interpreter_tag, write_wheel


def test_a_wheel_lists_each_file_with_its_hash(tmp_path: Path) -> None:
    module, licence = tmp_path / "pjsua2.py", tmp_path / "COPYING"
    module.write_text("answer = 42\n")
    licence.write_text("free software\n")

    path = write_wheel(tmp_path, "2.17+dialbridge.0", {"pjsua2.py": module}, licence)

    assert path.name == f"pjsua2-2.17+dialbridge.0-{interpreter_tag()}.whl"
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        record = "pjsua2-2.17+dialbridge.0.dist-info/RECORD"
        rows = {name: digest for name, digest, _ in csv.reader(io.StringIO(wheel.read(record).decode()))}
        assert set(rows) == set(names)
        assert rows.pop(record) == ""
        for name, digest in rows.items():
            expected = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(name)).digest())
            assert digest == f"sha256={expected.decode().rstrip('=')}"
