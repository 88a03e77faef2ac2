"""Reads apt's own configuration to learn which Debian mirror this machine uses.

Both formats of sources.list(5): the one-line style (*.list) and deb822 (*.sources).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from native.errors import SetupError

APT_DIRECTORY = Path("/etc/apt")
ONE_LINE = re.compile(
    r"^deb(?:-src)?\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<rest>.+)$"
)
DEBIAN_SUITES = frozenset(
    {"stable", "oldstable", "testing", "unstable", "bookworm", "trixie", "forky", "sid"}
)


@dataclass(frozen=True)
class ArchiveEntry:
    """A package archive that apt is configured to use."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None = None
    """A keyring's path or an embedded key, as apt wants it back."""

    @property
    def is_debian(self) -> bool:
        """The Debian archive itself: not its security, updates or backports suites, nor another vendor's."""
        return "main" in self.components and not DEBIAN_SUITES.isdisjoint(self.suites)

    def deb822(self, suite: str) -> str:
        """The same archive's source packages of another suite."""
        lines = ["Types: deb-src", f"URIs: {self.uri}", f"Suites: {suite}", "Components: main"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def debian_archive(directory: Path = APT_DIRECTORY) -> ArchiveEntry:
    """The first Debian archive in apt's configuration.

    Raises SetupError when there is none.
    """
    entries = [entry for entry in configured_archives(directory) if entry.is_debian]
    # Other vendors also name suites "stable" with a component "main"; Debian's mirrors end in /debian.
    entries.sort(key=lambda entry: not entry.uri.rstrip("/").endswith("/debian"))
    if not entries:
        raise SetupError(
            f"No Debian archive is configured in {directory} from which pjproject's source could be fetched; "
            "set PJPROJECT_TARBALL to the tarball of an official pjproject release."
        )
    return entries[0]


def configured_archives(directory: Path) -> Iterator[ArchiveEntry]:
    """All enabled entries, in the order in which apt reads them."""
    main = directory / "sources.list"
    if main.is_file():
        yield from one_line_entries(main.read_text())
    for path in sorted((directory / "sources.list.d").glob("*")):
        if path.suffix == ".list":
            yield from one_line_entries(path.read_text())
        elif path.suffix == ".sources":
            yield from deb822_entries(path.read_text())


def one_line_entries(text: str) -> Iterator[ArchiveEntry]:
    for line in text.splitlines():
        found = ONE_LINE.match(line.partition("#")[0].strip())
        if found is None or found["uri"].startswith("cdrom:"):
            continue
        options = dict(word.split("=", 1) for word in (found["options"] or "").split() if "=" in word)
        yield ArchiveEntry(
            found["uri"], (found["suite"],), tuple(found["rest"].split()), options.get("signed-by")
        )


def deb822_entries(text: str) -> Iterator[ArchiveEntry]:
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", uncommented):
        fields = _fields(stanza)
        if not fields.get("uris") or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        yield ArchiveEntry(
            fields["uris"].split()[0],
            tuple(fields.get("suites", "").split()),
            tuple(fields.get("components", "").split()),
            fields.get("signed-by"),
        )


def _fields(stanza: str) -> dict[str, str]:
    """Field names in lower case; continuation lines (an embedded key) keep their indentation."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields
