"""Downloads: chunks that threads verify reach the event loop in order, and a stopped download ends its threads."""

import threading
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from api.download import read_in_thread
from gridhaul.transfer.errors import ChunkMissing
from gridhaul.transfer.ports.contents import Chunks
from tests.contracts.bytes_to_store import MIB, sealed, some_bytes
from tests.contracts.memory_contents import MemoryContents, MemoryIntake
from tests.contracts.ports import eventually

LENGTH = 40 * MIB + 5


@pytest.fixture
def contents() -> MemoryContents:
    return MemoryContents(sweep_after_seconds=60)


async def chunks_of(contents: MemoryContents, *, missing: int | None = None) -> Chunks:
    content = await sealed(contents, MemoryIntake(contents, inline_limit_chunks=0), some_bytes(LENGTH))
    if missing is not None:
        del contents.chunks[content.id][missing]
    return contents.read(content)


async def receive(chunks: AsyncIterator[bytes], *, into: bytearray) -> None:
    async for chunk in chunks:
        into += chunk


async def no_stage_runs() -> bool:
    return not {thread.name for thread in threading.enumerate()} & {"reading", "hashing", "checking"}


async def test_all_chunks_come_in_order(contents: MemoryContents) -> None:
    async with aclosing(read_in_thread(await chunks_of(contents), at_once=4)) as chunks:
        assert b"".join([chunk async for chunk in chunks]) == some_bytes(LENGTH)
    assert await eventually(no_stage_runs)


async def test_download_that_is_given_up_ends_its_threads(contents: MemoryContents) -> None:
    async with aclosing(read_in_thread(await chunks_of(contents), at_once=4)) as chunks:
        assert await anext(chunks) == some_bytes(LENGTH)[:MIB]
    assert await eventually(no_stage_runs)


async def test_error_of_the_chunks_comes_as_it_is_and_no_more_than_is_verified_before(contents: MemoryContents) -> None:
    received = bytearray()
    async with aclosing(read_in_thread(await chunks_of(contents, missing=20), at_once=4)) as chunks:
        with pytest.raises(ChunkMissing, match="Chunk 20 "):
            await receive(chunks, into=received)
    assert received == some_bytes(LENGTH)[: len(received)]
    assert await eventually(no_stage_runs)
