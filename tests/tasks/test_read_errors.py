"""Reads of a source that fail in the middle: the chunks before are stored, and the next attempt goes on from there."""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from gridhaul.source.opened import Source
from gridhaul.source.reader import SourceReader
from gridhaul.transfer.errors import SourceChanged, SourceReadFailed
from gridhaul.transfer.model import File, Segment
from gridhaul.transfer.states import FILE_MOVES, Action, FileState
from tasks import attempt
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.tasks.storing_bench import LENGTH, MAX_ATTEMPTS, Bench, make_bench
from tests.tasks.worker_parts import worker_settings

DATA = some_bytes(LENGTH)
CHUNKS = 6
PREAD = os.pread


@pytest.fixture
def bench(tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.002)
    return make_bench(tmp_path)


@contextmanager
def failing_from(position: int, number: int = errno.EIO) -> Iterator[None]:
    """Let every read fail from chunk number `position` on."""

    def fail(descriptor: int, length: int, offset: int) -> bytes:
        if offset >= position * MIB:
            raise OSError(number, os.strerror(number))
        return PREAD(descriptor, length, offset)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "pread", fail)
        yield


def in_segments(bench: Bench, *, chunks: int, at_once: int) -> None:
    bench.settings = worker_settings(
        roots=bench.settings.roots, segment_chunks=chunks, segments_in_flight=at_once, max_file_bytes=None
    )


def code(file: File) -> str | None:
    return file.error.code if file.error else None


@pytest.mark.parametrize("chunks", [1, 4, 16])
@pytest.mark.parametrize("position", range(CHUNKS))
async def test_chunks_before_a_read_error_are_stored_and_counted(bench: Bench, position: int, chunks: int) -> None:
    in_segments(bench, chunks=chunks, at_once=2)
    await bench.register()
    with failing_from(position):
        file = await bench.attempt()
    assert (file.state, code(file)) == (FileState.REGISTERED, "source_read_failed")
    assert (file.stored_bytes, bench.stored(file)) == (position * MIB, DATA[: position * MIB])
    assert file.fruitless_attempts == (0 if position else 1)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.EIO, "source_read_failed"),
        (errno.EACCES, "source_read_failed"),
        (errno.ESTALE, "source_unavailable"),
        (errno.ETIMEDOUT, "source_unavailable"),
        (errno.ENOTCONN, "source_unavailable"),
    ],
)
async def test_retry_after_any_read_error_sends_only_what_was_not_stored(bench: Bench, number: int, error: str) -> None:
    in_segments(bench, chunks=4, at_once=2)
    await bench.register()
    with failing_from(3, number):
        for _ in range(MAX_ATTEMPTS + 1):
            file = await bench.attempt()
    assert (file.state, code(file), file.stored_bytes) == (FileState.FAILED, error, 3 * MIB)
    assert bench.chunks.puts == 1
    await bench.files.move(bench.file_id, FILE_MOVES[Action.RETRY])
    file = await bench.attempt()
    assert (file.state, bench.stored(file)) == (FileState.STORED, DATA)
    assert bench.chunks.puts == 3, "chunks 3 to 5 lie in two segments"


async def test_segments_on_their_way_are_stored_before_a_read_error_ends_the_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_segments(bench, chunks=1, at_once=CHUNKS)
    failed, real = asyncio.Event(), SourceReader.segments

    async def noting_the_end(self: SourceReader, chunks_each: int) -> AsyncGenerator[Segment]:
        async with aclosing(real(self, chunks_each)) as segments:
            try:
                async for segment in segments:
                    yield segment
            finally:
                failed.set()

    async def held() -> None:
        await failed.wait()

    monkeypatch.setattr(SourceReader, "segments", noting_the_end)
    bench.chunks.before_put = dict.fromkeys((1, 2, 3), held)
    await bench.register()
    with failing_from(3):
        file = await bench.attempt()
    assert (file.stored_bytes, bench.stored(file)) == (3 * MIB, DATA[: 3 * MIB])


async def test_refusal_of_a_segment_comes_before_the_read_error(bench: Bench) -> None:
    in_segments(bench, chunks=1, at_once=CHUNKS)

    def refuse() -> None:
        raise SourceChanged("Other bytes are stored.")

    bench.chunks.before_put[2] = refuse
    await bench.register()
    with failing_from(3):
        file = await bench.attempt()
    assert (file.state, code(file)) == (FileState.FAILED, "source_changed")


async def test_reader_yields_a_part_of_a_segment_and_then_raises(bench: Bench) -> None:
    source = Source(os.open(bench.path, os.O_RDONLY))
    segments = source.read(source.identity()).segments(4)
    try:
        with failing_from(5):
            assert (await anext(segments)).length == 4 * MIB
            part = await anext(segments)
            with pytest.raises(SourceReadFailed):
                await anext(segments)
    finally:
        source.close()
    assert (part.first, part.chunks) == (4, (DATA[4 * MIB : 5 * MIB],))
