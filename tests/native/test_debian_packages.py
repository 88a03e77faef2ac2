from __future__ import annotations

import pytest

from native.debian_packages import install_command, listed_packages, missing_packages, require_packages
from native.errors import SetupError

LIST = """
# for everybody
[build]
swig   # the wrapper
g++
[run]
sip-tester
"""


def test_the_list_has_two_groups() -> None:
    assert listed_packages("build", LIST) == ("swig", "g++")
    assert listed_packages("run", LIST) == ("sip-tester",)
    assert listed_packages(text=LIST) == ("swig", "g++", "sip-tester")


def test_the_real_list_names_the_codecs_and_sipp() -> None:
    assert {"libopus-dev", "libbcg729-dev", "libopencore-amrnb-dev"} <= set(listed_packages("build"))
    assert "sip-tester" in listed_packages("run")


def test_only_what_is_missing_is_asked_for() -> None:
    assert missing_packages(("dpkg", "no-such-package-here", "libc6")) == ("no-such-package-here",)


def test_the_remedy_can_be_copied() -> None:
    assert install_command(("swig", "g++")) == "apt-get install --no-install-recommends swig g++"


def test_a_missing_build_package_gives_one_sentence() -> None:
    with pytest.raises(SetupError) as refusal:
        require_packages(("dpkg", "no-such-package-here"))
    assert str(refusal.value) == (
        "Debian packages are missing; install them as root with: "
        "apt-get install --no-install-recommends no-such-package-here"
    )
