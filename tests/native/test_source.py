from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from native.errors import SetupError
from native.source import given_tarball


def test_no_tarball_is_given_by_default() -> None:
    assert given_tarball({}) is None


def test_a_given_tarball_is_used(tmp_path: Path) -> None:
    tarball = tmp_path / "pjproject-2.17.tar.xz"
    with tarfile.open(tarball, "w:xz"):
        pass
    assert given_tarball({"PJPROJECT_TARBALL": str(tarball)}) == tarball


def test_a_tarball_that_is_not_there_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as refusal:
        given_tarball({"PJPROJECT_TARBALL": str(tmp_path / "nowhere.tar.gz")})
    assert str(refusal.value) == (
        f"PJPROJECT_TARBALL names {tmp_path}/nowhere.tar.gz, which is not there; point it at a pjproject "
        "release (.tar.gz, .tar.bz2 or .tar.xz) or unset it to use Debian's copy."
    )


def test_a_file_that_is_no_tarball_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "pjproject.tar.gz"
    page.write_text("<html>not found</html>")
    with pytest.raises(SetupError, match="is not a tar archive; point it at a pjproject release"):
        given_tarball({"PJPROJECT_TARBALL": str(page)})
