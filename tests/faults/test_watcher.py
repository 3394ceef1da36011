"""The watcher sees each object under a final name, even an object that is there for a moment only."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.watcher import Watcher, watching

DATA = b"whole"
WHOLE = (len(DATA), hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def watcher(tmp_path: Path) -> Iterator[Watcher]:
    with watching([tmp_path], {WHOLE}) as found:
        yield found


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def put(path: Path, data: bytes) -> None:
    """Put the data under the name by one rename, as an atomic commit does."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(".gridhaul-x.part")
    temporary.write_bytes(data)
    temporary.replace(path)


def test_whole_source_is_right_and_seen_as_one_commit(watcher: Watcher, tmp_path: Path) -> None:
    put(tmp_path / "a/b", DATA)
    wait(lambda: watcher.commits(tmp_path / "a/b") == 1)
    assert watcher.wrong == []


@pytest.mark.parametrize("data", [b"", b"who", b"whole, and more", b"whale"])
def test_anything_else_is_wrong_even_if_it_is_soon_gone(watcher: Watcher, tmp_path: Path, data: bytes) -> None:
    put(tmp_path / "x", data)
    wait(lambda: watcher.commits(tmp_path / "x") == 1)
    put(tmp_path / "x", DATA)
    watcher.look()
    assert len(watcher.wrong) == 1
    assert f"{len(data)} bytes" in watcher.wrong[0]


def test_file_that_grows_under_its_name_is_seen_partial(watcher: Watcher, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        for byte in DATA:
            file.write(bytes([byte]))
            file.flush()
            os.fsync(file.fileno())
            looks = watcher.looks
            wait(lambda seen=looks: watcher.looks > seen + 1)  # type: ignore[misc]
    assert 0 < len(watcher.wrong) <= len(DATA)


def test_same_bytes_committed_twice_are_two_commits(watcher: Watcher, tmp_path: Path) -> None:
    put(tmp_path / "x", DATA)
    wait(lambda: watcher.commits(tmp_path / "x") == 1)
    put(tmp_path / "x", DATA)
    wait(lambda: watcher.commits(tmp_path / "x") == 2)
    assert watcher.wrong == []


def test_temporary_objects_are_not_looked_at(watcher: Watcher, tmp_path: Path) -> None:
    (tmp_path / ".gridhaul-0123-1.part").write_bytes(b"who")
    watcher.look()
    assert watcher.wrong == []
