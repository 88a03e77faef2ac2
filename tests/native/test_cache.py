from __future__ import annotations

import threading
from pathlib import Path

import pytest

from native.build_wheel import settings_hash
from native.cache import Cache, cache_directory
from native.progress import Progress


def test_the_cache_is_where_the_environment_says() -> None:
    assert cache_directory({"DIALBRIDGE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
    assert cache_directory({"XDG_CACHE_HOME": "/b"}) == Path("/b/dialbridge")
    assert cache_directory({}) == Path("~/.cache/dialbridge").expanduser()


def test_another_config_site_is_another_wheel(tmp_path: Path) -> None:
    config_site = tmp_path / "config_site.h"
    config_site.write_text("#define PJSUA_MAX_CALLS 2048\n")
    before = settings_hash((config_site,))
    assert settings_hash((config_site,)) == before
    config_site.write_text("#define PJSUA_MAX_CALLS 4\n")
    assert settings_hash((config_site,)) != before


def test_the_source_fetched_last_is_used(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    assert cache.newest_source() is None
    with cache.build_lock(Progress()), cache.work_directory() as work:
        for content in ("older", "newer"):
            tarball = work / "asterisk_22.orig-Xpjproject.tar.xz"
            tarball.write_text(content)
            kept = cache.keep_source(tarball)
    assert cache.newest_source() == kept
    assert kept.read_text() == "newer"
    assert kept.name.endswith(".tar.xz")


def test_a_wheel_is_found_by_its_key_only(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    built = tmp_path / "pjsua2-2.17-cp311-cp311-linux_x86_64.whl"
    built.write_text("wheel")
    kept = cache.keep_wheel("key", built)
    assert cache.wheel("key") == kept
    assert kept.name == built.name
    assert cache.wheel("other") is None


def test_nothing_is_left_of_a_failed_build(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail() -> None:
        with cache.build_lock(Progress()), cache.work_directory() as work:
            (work / "object.o").write_text("half")
            raise RuntimeError("compiler")

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["build.lock"]


def test_a_second_build_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []
    inside = threading.Event()
    go_on = threading.Event()

    def first() -> None:
        with Cache(tmp_path).build_lock(Progress()):
            inside.set()
            go_on.wait(10)
            order.append("first")

    def second() -> None:
        inside.wait(10)
        go_on.set()
        with Cache(tmp_path).build_lock(Progress()):
            order.append("second")

    threads = [threading.Thread(target=task) for task in (second, first)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert order == ["first", "second"]
