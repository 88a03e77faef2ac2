"""Compiles pjproject and its Python binding: the libraries only, no sample applications or test programs."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import tarfile
from pathlib import Path

from native.commands import Commands
from native.errors import SetupError
from native.progress import Progress

CONFIG_SITE = Path(__file__).with_name("config_site.h")
PATCHES = tuple(sorted(Path(__file__).parent.glob("patches/*.patch")))
"""Each says in its first lines why it is needed."""

CONFIGURE_OPTIONS = (
    "--enable-epoll",
    "--enable-speex-resample",
    # Debian's libraries get security updates; pjproject's bundled copies do not.
    "--with-external-speex",
    "--with-external-gsm",
    "--with-external-srtp",
    # No sound card, no picture, no echo canceller: this is a server.
    "--disable-sound",
    "--disable-video",
    "--disable-libyuv",
    "--disable-libwebrtc",
    "--disable-upnp",
    "--disable-ffmpeg",
    "--disable-v4l2",
    "--disable-sdl",
    "--disable-openh264",
    "--disable-vpx",
    # Codecs that no carrier's trunk asks for.
    "--disable-ilbc-codec",
    "--disable-g7221-codec",
)
COMPILER_FLAGS = {"CFLAGS": "-O3 -fPIC -DNDEBUG", "CXXFLAGS": "-O2"}

# SWIG's code only hands arguments over; -O1 compiles it three times as fast as -O3 with debug information.
WRAPPER_FLAGS = ("-fwrapv", "-O1", "-g0")
# Calls inside the library are bound at link time instead of going through the symbol table.
LINK_FLAGS = ("-shared", "-Wl,-O1", "-Wl,-Bsymbolic-functions")
HEADER_ROOTS = ("pjlib", "pjlib-util", "pjmedia", "pjsip", "pjnath")
SWIG_FLAGS = ("-c++", "-python", "-threads", "-w312")

ABSENT_FROM_DEBIAN = Path("pjmedia/src/pjmedia-audiodev/bdimad_dev.c")
"""A sound driver without a free licence: the makefile names it, and an empty file satisfies it."""


class Build:
    """One compilation in a directory of its own."""

    def __init__(self, commands: Commands, progress: Progress, work: Path, logs: Path) -> None:
        self._commands = commands
        self._progress = progress
        self._logs = logs
        self._work = work
        self._jobs = len(os.sched_getaffinity(0))
        self._root = work
        self._modules = work / "modules"

    def run(self, tarball: Path) -> dict[str, Path]:
        """Compile; the binding's modules by their names in the wheel.

        Raises SetupError, naming the log file, when a step fails.
        """
        self._modules.mkdir()
        with self._progress.step("unpacking pjproject"):
            self._unpack(tarball)
        with self._progress.step("configuring pjproject"):
            self._command(("./configure", *CONFIGURE_OPTIONS), "configure", self._root, COMPILER_FLAGS)
        # The wrapper is one huge file that needs only headers, so one core compiles it beside the libraries.
        self._commands.together(self._compile_libraries, self._compile_wrapper)
        with self._progress.step("linking pjsua2"):
            return self._link()

    @property
    def version(self) -> str:
        """Of the unpacked pjproject, for example 2.17."""
        parts = re.findall(
            r"^export PJ_VERSION_(?:MAJOR|MINOR|REV)\s*:=\s*(\d+)\s*$",
            (self._root / "version.mak").read_text(),
            re.M,
        )
        return ".".join(parts)

    @property
    def licence(self) -> Path:
        return self._root / "COPYING"

    def _unpack(self, tarball: Path) -> None:
        with tarfile.open(tarball) as archive:
            archive.extractall(self._work)  # noqa: S202 - apt or the administrator vouches for it
        roots = [path.parent for path in self._work.glob("*/aconfigure")]
        if len(roots) != 1:
            raise SetupError(
                f"{tarball} is not pjproject's source; set PJPROJECT_TARBALL to a pjproject release."
            )
        self._root = roots[0]
        (self._root / "pjlib/include/pj/config_site.h").write_bytes(CONFIG_SITE.read_bytes())
        (self._root / ABSENT_FROM_DEBIAN).touch()
        for patch in PATCHES:
            command = ("patch", "--strip=1", "--forward", "--fuzz=0", f"--input={patch}")
            self._command(command, "patches", self._root)

    def _compile_libraries(self) -> None:
        # No "make dep": it lists what to compile again after an edit, and nobody edits here.
        with self._progress.step("compiling pjproject's libraries"):
            self._command(("make", f"-j{self._jobs}", "lib"), "libraries", self._root)

    def _compile_wrapper(self) -> None:
        with self._progress.step("compiling the Python binding"):
            includes = [f"-I{self._root / name / 'include'}" for name in HEADER_ROOTS]
            self._command(
                (
                    "swig",
                    *SWIG_FLAGS,
                    *includes,
                    "-outdir",
                    self._modules,
                    "-o",
                    self._wrapper,
                    "../pjsua2.i",
                ),
                "binding",
                self._binding,
            )
            python = sysconfig.get_path("include")
            compiler_flags = (*self._make_words("cflags"), *WRAPPER_FLAGS, f"-I{python}")
            self._command(
                ("g++", *compiler_flags, "-c", self._wrapper, "-o", self._wrapper.with_suffix(".o")),
                "binding",
                self._binding,
            )

    def _link(self) -> dict[str, Path]:
        name = f"_pjsua2{sysconfig.get_config_var('EXT_SUFFIX')}"
        libraries = [f"-l{word}" for word in self._make_words("libs")]
        inputs: tuple[str | Path, ...] = (
            self._wrapper.with_suffix(".o"),
            *self._make_words("ldflags"),
            *libraries,
        )
        self._command(("g++", *LINK_FLAGS, *inputs, "-o", self._modules / name), "link", self._binding)
        return {file: self._modules / file for file in (name, "pjsua2.py")}

    @property
    def _binding(self) -> Path:
        return self._root / "pjsip-apps/src/swig/python"

    @property
    def _wrapper(self) -> Path:
        return self._work / "pjsua2_wrap.cpp"

    def _make_words(self, target: str) -> list[str]:
        """What pjproject's build says an application must compile and link with."""
        asked = subprocess.run(
            ("make", "--no-print-directory", "-s", "-f", "helper.mak", target),
            cwd=self._binding,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        return asked.stdout.split()

    def _command(
        self, words: tuple[str | Path, ...], what: str, where: Path, variables: dict[str, str] | None = None
    ) -> None:
        log = self._logs / f"{what}.log"
        self._commands.run(words, what=f"pjsua2's build ({what})", log=log, cwd=where, variables=variables)
