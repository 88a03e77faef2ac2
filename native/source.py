"""Finds pjproject's source: an official release, or the copy inside Debian's asterisk source package."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

from native.apt_sources import ArchiveEntry, debian_archive
from native.commands import CommandError, Commands
from native.errors import SetupError
from native.progress import Progress

TARBALL_VARIABLE = "PJPROJECT_TARBALL"
SUITES = ("forky", "sid")
"""Debian suites whose asterisk source carries pjproject 2.17; asterisk leaves testing now and then."""

APT_CONFIGURATION = """\
// The machine's proxies, credentials and certificates stay in force; its package lists are left alone.
Dir::Etc::SourceList "{here}/pjproject.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "{here}/lists";
Dir::Cache "{here}/cache";
// Hooks and a pinned release are meant for the machine's own lists.
#clear APT::Update;
#clear APT::Default-Release;
// Without this apt-get update succeeds when it reached nothing.
APT::Update::Error-Mode "any";
// A mirror of a development suite may be days behind. Signatures are still checked.
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
// We write below a directory of our own, which apt's unprivileged user may not enter.
APT::Sandbox::User "root";
"""


def given_tarball(variables: Mapping[str, str] = os.environ) -> Path | None:
    """The release the administrator points at, if any.

    Raises SetupError when it cannot be used.
    """
    named = variables.get(TARBALL_VARIABLE)
    if not named:
        return None
    tarball = Path(named).expanduser().resolve()
    remedy = (
        "point it at a pjproject release (.tar.gz, .tar.bz2 or .tar.xz) or unset it to use Debian's copy."
    )
    if not tarball.is_file():
        raise SetupError(f"{TARBALL_VARIABLE} names {tarball}, which is not there; {remedy}")
    try:
        readable = tarfile.is_tarfile(tarball)
    except OSError as error:
        raise SetupError(
            f"{TARBALL_VARIABLE} names {tarball}, which cannot be read ({error.strerror}); {remedy}"
        ) from error
    if not readable:
        raise SetupError(f"{TARBALL_VARIABLE} names {tarball}, which is not a tar archive; {remedy}")
    return tarball


def content_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def fetch_from_debian(commands: Commands, progress: Progress, work: Path, log: Path) -> Path:
    """Download pjproject's tarball with apt, which verifies it, into `work`.

    Raises SetupError when no suite offers it.
    """
    archive = debian_archive()
    failure: CommandError | None = None
    for suite in SUITES:
        try:
            with progress.step(f"fetching pjproject's source from Debian {suite}"):
                return _download(commands, archive, suite, work / suite, log)
        except CommandError as error:
            failure = error
    raise SetupError(
        f"pjproject's source could not be fetched from {archive.uri} ({' or '.join(SUITES)}); check the"
        f" network and apt's proxy settings, or set {TARBALL_VARIABLE} to the tarball of a pjproject release."
        f" {failure}"
    )


def _download(commands: Commands, archive: ArchiveEntry, suite: str, here: Path, log: Path) -> Path:
    for directory in ("lists/partial", "cache/archives/partial", "download"):
        (here / directory).mkdir(parents=True)
    (here / "pjproject.sources").write_text(archive.deb822(suite))
    configuration = here / "apt.conf"
    configuration.write_text(APT_CONFIGURATION.format(here=here))
    apt = ("apt-get", "-q", "-c", configuration)
    commands.run((*apt, "update"), what="apt-get update", log=log)
    commands.run(
        (*apt, "source", "--download-only", "asterisk"),
        what="apt-get source asterisk",
        log=log,
        cwd=here / "download",
    )
    tarballs = list((here / "download").glob("*Xpjproject.tar.*"))
    if len(tarballs) != 1:
        raise CommandError(f"asterisk in {suite} carries {len(tarballs)} pjproject tarballs.")
    return tarballs[0]
