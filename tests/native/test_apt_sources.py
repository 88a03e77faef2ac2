from __future__ import annotations

from pathlib import Path

import pytest

from native.apt_sources import ArchiveEntry, deb822_entries, debian_archive, one_line_entries
from native.errors import SetupError

MIRROR = "http://mirror.example/debian"


def test_one_line_style_with_options_and_comments() -> None:
    text = f"""
    # deb {MIRROR} bookworm main
    deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] {MIRROR} bookworm main contrib  # the archive
    deb-src {MIRROR} bookworm main
    deb cdrom:[Debian 12 amd64]/ bookworm main
    """
    assert list(one_line_entries(text)) == [
        ArchiveEntry(MIRROR, ("bookworm",), ("main", "contrib"), "/usr/share/keyrings/a.gpg"),
        ArchiveEntry(MIRROR, ("bookworm",), ("main",)),
    ]


def test_deb822_style_with_several_stanzas() -> None:
    text = f"""Types: deb
# a comment inside a stanza
URIs: {MIRROR} http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/off
Suites: bookworm
Components: main
Enabled: no
"""
    assert list(deb822_entries(text)) == [
        ArchiveEntry(
            MIRROR,
            ("bookworm", "bookworm-updates"),
            ("main",),
            "/usr/share/keyrings/debian-archive-keyring.gpg",
        )
    ]


def test_an_embedded_key_is_given_back_as_it_was() -> None:
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    text = f"Types: deb\nURIs: {MIRROR}\nSuites: bookworm\nComponents: main\nSigned-By:\n {key}\n"
    (entry,) = deb822_entries(text)
    (again,) = deb822_entries(entry.deb822("forky"))
    assert again == ArchiveEntry(MIRROR, ("forky",), ("main",), f"\n {key}")


def test_only_the_suite_changes_for_the_source_packages() -> None:
    entry = ArchiveEntry(MIRROR, ("bookworm",), ("main",), "/keys/debian.gpg")
    assert entry.deb822("forky").splitlines() == [
        "Types: deb-src",
        f"URIs: {MIRROR}",
        "Suites: forky",
        "Components: main",
        "Signed-By: /keys/debian.gpg",
    ]


def test_the_archive_is_found_among_security_updates_and_other_vendors(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(
        "deb http://security.example/debian-security bookworm-security main\n"
        "deb http://editor.example/repos/code stable main\n"
    )
    (parts / "debian.sources").write_text(
        f"Types: deb\nURIs: {MIRROR}/\nSuites: bookworm\nComponents: main\n"
    )
    (parts / "other.sources.disabled").write_text("Types: deb\nURIs: http://never.example/debian\n")
    assert debian_archive(tmp_path).uri == f"{MIRROR}/"


def test_without_an_archive_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="set PJPROJECT_TARBALL"):
        debian_archive(tmp_path)
