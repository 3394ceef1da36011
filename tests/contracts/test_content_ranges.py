"""The suite of `ContentReading.read_range`: exactly the bytes of the range, and none of what was deleted."""

import asyncio

import pytest

from gridhaul.transfer.errors import ChunkMissing, StateConflict
from gridhaul.transfer.model import Content
from gridhaul.transfer.ports.contents import Contents, Intake
from tests.contracts.bytes_to_store import MIB, opened, read_all, sealed, some_bytes
from tests.contracts.ports import A_FILE, Ports

LENGTH = 5 * MIB + 5
RANGES = (
    (0, 1),
    (0, LENGTH),
    (7, 8),
    (MIB - 1, MIB),
    (MIB - 1, MIB + 1),
    (MIB, 2 * MIB),
    (MIB + 3, 4 * MIB - 3),
    (5 * MIB, LENGTH),
    (LENGTH - 1, LENGTH),
)


@pytest.fixture
def contents(ports: Ports) -> Contents:
    return ports.contents


@pytest.fixture(params=[15, 0], ids=["inline", "gridfs"])
def either(request: pytest.FixtureRequest, ports: Ports) -> Intake:
    """Return an intake that stores small contents inline, or in GridFS."""
    return ports.intake_with(request.param)


async def read_range(contents: Contents, content: Content, start: int, stop: int) -> bytearray:
    received = bytearray()
    await asyncio.to_thread(read_all, contents.read_range(content, start=start, stop=stop), received)
    return received


async def test_range_has_exactly_its_bytes(contents: Contents, either: Intake) -> None:
    data = some_bytes(LENGTH)
    content = await sealed(contents, either, data)
    for start, stop in RANGES:
        assert await read_range(contents, content, start, stop) == data[start:stop], (start, stop)


async def test_pieces_are_at_most_one_chunk(contents: Contents, either: Intake) -> None:
    content = await sealed(contents, either, some_bytes(LENGTH))
    chunks = contents.read_range(content, start=MIB - 5, stop=3 * MIB)
    try:
        assert await asyncio.to_thread(lambda: [len(piece) for piece in chunks]) == [5, MIB, MIB]
    finally:
        await asyncio.to_thread(chunks.close)


async def test_range_of_a_content_not_sealed_can_not_be_read(contents: Contents) -> None:
    content = await opened(contents, LENGTH)
    with pytest.raises(StateConflict):
        contents.read_range(content, start=0, stop=1)


async def test_range_of_a_deleted_content_is_missing(contents: Contents, either: Intake) -> None:
    content = await sealed(contents, either, some_bytes(LENGTH))
    await read_range(contents, content, 0, 1)
    await contents.drop_ref(content.id, A_FILE)
    with pytest.raises(ChunkMissing, match="Chunk 2"):
        await read_range(contents, content, 2 * MIB + 1, LENGTH)


async def test_content_says_when_it_was_sealed(contents: Contents, either: Intake) -> None:
    open_content = await opened(contents, 0)
    assert open_content.sealed_at is None
    content = await sealed(contents, either, some_bytes(7))
    assert content.sealed_at is not None
    assert content.sealed_at.tzinfo is not None
    assert await contents.get(content.id) == content
