"""A small source is read in one go, and is refused if anybody touches it meanwhile."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gridhaul.source.opened import CLOCK_TICK_SECONDS, Source
from gridhaul.source.roots import Roots
from gridhaul.source.small import read_small
from gridhaul.transfer.errors import GridhaulError, PathNotAllowed, SourceChanged, SourceMissing
from gridhaul.transfer.model import Seal, Segment
from gridhaul.transfer.origins import SourceIdentity
from tests.contracts.bytes_to_store import MIB, seal_of, segment, some_bytes
from tests.tasks.storing_bench import append, replace_by_rename, rewrite, touch_all_ways

LENGTH = MIB + 5
PREAD = os.pread


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    path.write_bytes(some_bytes(LENGTH))
    return path


def identity(path: Path) -> SourceIdentity:
    source = Source.open_here(str(path), Roots.any_of((path.parent,)))
    try:
        return source.identity()
    finally:
        source.close()


def settle() -> None:
    time.sleep(2 * CLOCK_TICK_SECONDS)


def read(path: Path, registered: SourceIdentity | None = None) -> tuple[Segment, Seal]:
    return read_small(str(path), Roots.any_of((path.parent,)), registered or identity(path))


@pytest.mark.parametrize("length", [0, 1, MIB, LENGTH, 2 * MIB])
def test_all_chunks_are_read_and_sealed(path: Path, length: int) -> None:
    path.write_bytes(some_bytes(length))
    settle()
    assert read(path) == (segment(some_bytes(length)), seal_of(some_bytes(length)))


def test_source_that_was_written_just_now_is_left_for_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A further write in the same tick of the clock would not change the source's times."""
    monkeypatch.setattr(time, "time_ns", lambda: path.stat().st_ctime_ns + 1)
    with pytest.raises(SourceChanged):
        read(path)


@pytest.mark.parametrize("change", [append, lambda path: replace_by_rename(path, some_bytes(LENGTH))])
def test_source_that_is_not_the_registered_one_is_refused(path: Path, change: Callable[[Path], object]) -> None:
    registered = identity(path)
    change(path)
    settle()
    with pytest.raises(SourceChanged):
        read(path, registered)


@pytest.mark.parametrize(
    "change", [append, touch_all_ways, lambda path: rewrite(path, 3, b"x"), lambda path: os.truncate(path, 7)]
)
def test_source_that_is_touched_while_it_is_read_is_refused(
    path: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    settle()
    changes = iter([change])

    def touching(*args: int) -> bytes:
        data = PREAD(*args)
        for one in changes:
            one(path)
        return data

    monkeypatch.setattr(os, "pread", touching)
    with pytest.raises(SourceChanged):
        read(path)


@pytest.mark.parametrize(("at", "error"), [("gone", SourceMissing), ("../run.h5", PathNotAllowed)])
def test_source_that_can_not_be_opened_says_why(path: Path, at: str, error: type[GridhaulError]) -> None:
    with pytest.raises(error):
        read_small(str(path.parent / at), Roots.any_of((path.parent,)), identity(path))


def test_no_descriptor_is_left_open(path: Path) -> None:
    settle()
    before = len(list(Path("/proc/self/fd").iterdir()))
    read(path)
    with pytest.raises(SourceMissing):
        read_small(str(path) + "x", Roots.any_of((path.parent,)), identity(path))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
