"""The reader's looks at a source: one a second at most, and only beside a read."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from gridhaul.source import reader
from gridhaul.source.reader import SourceReader, read_chunk
from gridhaul.transfer.errors import SourceChanged, SourceReadFailed
from tests.contracts.bytes_to_store import MIB, some_bytes

CHUNKS = 40
LENGTH = CHUNKS * MIB


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "run.h5"
    path.write_bytes(some_bytes(LENGTH))
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the reader's clock. Each read of a chunk takes an eighth of a second."""
    seconds, pread = [0.0], os.pread

    def slow(descriptor: int, length: int, offset: int) -> bytes:
        seconds[0] += 0.125
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", slow)
    monkeypatch.setattr(reader, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


def reader_of(descriptor: int, length: int, *, look: Callable[[], None]) -> SourceReader:
    return SourceReader(partial(read_chunk, descriptor, length), length, look=look)


def test_source_is_looked_at_once_a_second(descriptor: int, seconds: list[float]) -> None:
    looks: list[float] = []
    reader_of(descriptor, LENGTH, look=lambda: looks.append(seconds[0])).segment(0, CHUNKS)
    assert looks == [1.0, 2.0, 3.0, 4.0]


def test_change_that_a_look_finds_ends_the_reading(descriptor: int, seconds: list[float]) -> None:
    def changed() -> None:
        raise SourceChanged("The source has changed.")

    with pytest.raises(SourceChanged):
        reader_of(descriptor, LENGTH, look=changed).segment(0, CHUNKS)
    assert seconds == [1.0]


@pytest.mark.usefixtures("seconds")
async def test_look_that_fails_is_a_failed_read_after_the_chunks_before(descriptor: int) -> None:
    def stale() -> None:
        raise SourceReadFailed("Looking at the source failed: Stale file handle.")

    segments = reader_of(descriptor, LENGTH, look=stale).segments(CHUNKS)
    assert len((await anext(segments)).chunks) == 8
    with pytest.raises(SourceReadFailed):
        await anext(segments)


def test_source_that_is_read_within_a_second_is_not_looked_at(descriptor: int) -> None:
    looks: list[None] = []
    reader_of(descriptor, MIB, look=lambda: looks.append(None)).segment(0, 1)
    assert not looks
