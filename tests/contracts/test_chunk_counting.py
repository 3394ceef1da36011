"""The suite of `ChunkCounting`: how many chunks of a content are stored in each cell of its map."""

import pytest

from gridhaul.transfer.cells import Cells
from gridhaul.transfer.model import Content
from tests.contracts.bytes_to_store import MIB, opened, sealed, segment, some_bytes, store
from tests.contracts.ports import A_FILE, Ports

LENGTH = 6 * MIB + 5  # 7 chunks
INLINE, GRIDFS = 15, 0  # the greatest number of chunks of an inline content
layouts = pytest.mark.parametrize("limit", [INLINE, GRIDFS])


async def _stored(ports: Ports, content: Content, cells: int, *, chunk_count: int | None = None) -> list[int]:
    now = await ports.contents.get(content.id)
    assert now is not None
    count = content.chunk_count if chunk_count is None else chunk_count
    return [*await ports.chunk_counting.stored(now, Cells.at_most(cells, chunk_count=count))]


@layouts
async def test_sealed_content_has_all_its_chunks(ports: Ports, limit: int) -> None:
    content = await sealed(ports.contents, ports.intake_with(limit), some_bytes(LENGTH))
    assert await _stored(ports, content, 256) == [1] * 7
    assert await _stored(ports, content, 3) == [3, 3, 1]
    assert await _stored(ports, content, 1) == [7]


@layouts
async def test_empty_content_has_no_cells(ports: Ports, limit: int) -> None:
    content = await sealed(ports.contents, ports.intake_with(limit), b"")
    assert await _stored(ports, content, 256) == []


@layouts
async def test_content_without_a_chunk_yet_has_none(ports: Ports, limit: int) -> None:
    content = await opened(ports.contents, LENGTH)
    await sealed(ports.contents, ports.intake_with(limit), some_bytes(LENGTH))
    assert await _stored(ports, content, 4) == [0] * 4


async def test_chunks_of_an_open_content_are_counted_where_they_are(ports: Ports) -> None:
    content, intake = await opened(ports.contents, LENGTH), ports.intake_with(GRIDFS)
    for first, count in ((0, 2), (3, 1), (6, 1)):
        await store(intake, content, segment(some_bytes(LENGTH), first, count))
    assert await _stored(ports, content, 256) == [1, 1, 0, 1, 0, 0, 1]
    assert await _stored(ports, content, 4) == [2, 1, 0, 1]


async def test_chunks_of_an_upload_of_unknown_length_are_counted_up_to_the_last_cell(ports: Ports) -> None:
    content = await ports.contents.open_upload(
        ports.contents.new_id(), file_id=A_FILE, filename="run.h5", content_type="a/b", length=None, fence=1
    )
    await store(ports.intake_with(INLINE), content, segment(some_bytes(4 * MIB)))
    assert await _stored(ports, content, 256, chunk_count=5) == [1, 1, 1, 1, 0]
    assert await _stored(ports, content, 2, chunk_count=3) == [2, 1]


@layouts
async def test_deleted_content_has_no_chunks(ports: Ports, limit: int) -> None:
    content = await sealed(ports.contents, ports.intake_with(limit), some_bytes(LENGTH))
    await ports.contents.drop_ref(content.id, A_FILE)
    assert await _stored(ports, content, 2) == [0, 0]
