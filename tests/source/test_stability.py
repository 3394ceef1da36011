"""Sources that change while they are read, and the identity that a source is registered with. Files are real."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridhaul.source import opened as opened_module
from gridhaul.source.opened import Source, identify
from gridhaul.source.roots import Roots
from gridhaul.source.stability import require_still
from gridhaul.transfer.errors import SourceChanged, SourceMissing, SourceReadFailed, SourceTooLarge
from gridhaul.transfer.model import Seal
from gridhaul.transfer.origins import SourceIdentity
from tests.contracts.bytes_to_store import MIB, seal_of, some_bytes
from tests.tasks.storing_bench import Change, append, rewrite, rewrite_mapped, touch_all_ways

LENGTH = 3 * MIB + 7
SEAL = seal_of(some_bytes(LENGTH))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    path.write_bytes(some_bytes(LENGTH))
    return path


@pytest.fixture
def source(path: Path) -> Iterator[Source]:
    source = Source(os.open(path, os.O_RDONLY))
    yield source
    source.close()


async def _checked(source: Source, opened: SourceIdentity, seal: Seal = SEAL) -> list[int]:
    checked: list[int] = []
    await require_still(source, opened, seal, chunks_each=1, checked=checked.append)
    return checked


async def test_source_that_nobody_touched_is_not_read_again(source: Source) -> None:
    assert await _checked(source, await source.settled_identity()) == []


async def test_touched_source_is_read_again_in_full(source: Source, path: Path) -> None:
    opened = await source.settled_identity()
    touch_all_ways(path)
    assert await _checked(source, opened) == [MIB, 2 * MIB, 3 * MIB, LENGTH]


async def test_unlinked_source_is_read_again_and_is_the_same(source: Source, path: Path) -> None:
    opened = await source.settled_identity()
    _remove(path)
    assert (await _checked(source, opened))[-1] == LENGTH


@pytest.mark.parametrize(
    "change",
    [append, lambda path: rewrite(path, LENGTH - 1, b"x"), lambda path: rewrite_mapped(path, 0, b"x")],
    ids=["grown", "mtime put back", "through a mapping"],
)
async def test_written_source_has_changed(source: Source, path: Path, change: Change) -> None:
    opened = await source.settled_identity()
    change(path)
    with pytest.raises(SourceChanged):
        await _checked(source, opened)


async def test_change_right_after_the_identity_was_taken_shows_in_its_ctime(source: Source, path: Path) -> None:
    """The ctime differs although the source was written to just before and the kernel's clock ticks slowly."""
    for byte in (b"a", b"b", b"c", b"d", b"e"):
        rewrite(path, 0, byte)
        opened = await source.settled_identity()
        rewrite(path, 0, byte.upper())
        assert source.identity().ctime_ns != opened.ctime_ns


async def test_identity_of_a_source_at_rest_is_taken_at_once(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_module, "CLOCK_TICK_SECONDS", 5.0)
    monkeypatch.setattr(time, "time_ns", lambda: source.identity().ctime_ns + 5 * 10**9)
    began = time.monotonic()
    assert await source.settled_identity() == source.identity()
    assert time.monotonic() - began < 5


async def test_source_that_can_not_be_looked_at_is_a_failed_read(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> os.stat_result:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as stale:
        stale.setattr(os, "fstat", fail)
        with pytest.raises(SourceReadFailed, match="Stale file handle"):
            source.identity()


async def test_identity_of_a_path_is_that_of_its_file(path: Path) -> None:
    identity = await identify(str(path), Roots.any_of((path.parent,)), max_file_bytes=LENGTH)
    assert (identity.size, identity.inode) == (LENGTH, str(os.stat(path).st_ino))  # noqa: PTH116
    touch_all_ways(path)
    touched = await identify(str(path), Roots.any_of((path.parent,)), max_file_bytes=None)
    assert touched != identity
    assert touched.matches(identity)


async def test_file_above_the_limit_or_missing_is_not_taken(path: Path) -> None:
    with pytest.raises(SourceTooLarge):
        await identify(str(path), Roots.any_of((path.parent,)), max_file_bytes=LENGTH - 1)
    with pytest.raises(SourceMissing):
        await identify(f"{path}-none", Roots.any_of((path.parent,)), max_file_bytes=None)


def _remove(path: Path) -> None:
    path.unlink()
