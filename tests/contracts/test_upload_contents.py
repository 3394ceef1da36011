"""The suite of contents of ordered uploads: chunks have fences, the length may come late, and there is a tail."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import (
    ChunkConflict,
    ChunkMissing,
    ChunkOutOfRange,
    ContentIncomplete,
    ContentSealed,
    ContentUnknown,
    LeaseLost,
    LengthMismatch,
    StaleFence,
)
from gridhaul.transfer.model import Content, RecordId, Tail
from gridhaul.transfer.ports.contents import Contents, Intake
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.beneath import Beneath, BeneathMemory, BeneathMongo
from tests.contracts.bytes_to_store import MIB, opened, read, read_all, seal_of, segment, segments, some_bytes, store
from tests.contracts.memory_contents import MemoryContents
from tests.contracts.ports import A_FILE, Ports, eventually

LENGTH = 2 * MIB + 5
OLD, NEW = some_bytes(LENGTH), some_bytes(LENGTH + MIB)[:LENGTH]


@pytest.fixture
def contents(ports: Ports) -> Contents:
    return ports.contents


@pytest.fixture(params=[Layout.INLINE, Layout.GRIDFS])
def sealed_as(request: pytest.FixtureRequest) -> Layout:
    """Return the layout that small contents get by their seal. Before that they are in GridFS."""
    return Layout(request.param)


@pytest.fixture
def intake(sealed_as: Layout, ports: Ports) -> Intake:
    return ports.intake_with(15 if sealed_as is Layout.INLINE else 0)


@pytest.fixture
def beneath(ports: Ports, request: pytest.FixtureRequest) -> Beneath:
    if isinstance(ports.contents, MemoryContents):
        return BeneathMemory(ports.contents)
    return BeneathMongo(request.getfixturevalue("database"))


async def uploading(
    contents: Contents, length: int | None, *, fence: int = 1, content_id: RecordId | None = None
) -> Content:
    return await contents.open_upload(
        content_id or contents.new_id(),
        file_id=A_FILE,
        filename="run.h5",
        content_type="application/x-hdf5",
        length=length,
        fence=fence,
    )


async def again(contents: Contents, content: Content, *, fence: int, length: int | None = LENGTH) -> Content:
    """Open the content with another fence."""
    return await uploading(contents, length, fence=fence, content_id=content.id)


async def put_tail(intake: Intake, content: Content, n: int, data: bytes) -> None:
    await intake.store_tail(content.id, fence=content.fence, n=n, data=data, digest=chunk_digest(data))


async def digests(intake: Intake, content: Content, count: int = 1024) -> list[bytes]:
    held = await intake.digests(content.id, first=0, count=count)
    return [held[at + 1 : at + 33] for at in range(0, len(held), 33) if held[at]]


def those_of(data: bytes) -> Sequence[bytes]:
    return list(segment(data).digests)


async def test_content_of_an_upload_is_made_open_and_replaceable(contents: Contents) -> None:
    content = await uploading(contents, LENGTH)
    assert (content.state, content.length, content.layout) == (ContentState.OPEN, LENGTH, Layout.GRIDFS)
    assert (content.replaceable, content.open_ended, content.refs, content.fence) == (True, False, (A_FILE,), 1)
    assert await contents.get(content.id) == content


async def test_length_that_comes_late_is_kept(contents: Contents) -> None:
    content = await uploading(contents, None)
    assert (content.length, content.open_ended) == (0, True)
    assert (await again(contents, content, fence=2, length=None)).open_ended
    known = await again(contents, content, fence=2, length=LENGTH)
    assert (known.length, known.open_ended) == (LENGTH, False)
    for length in (None, LENGTH + 1):
        after = await again(contents, content, fence=3, length=length)
        assert (after.length, after.open_ended, after.fence) == (LENGTH, False, 3)


@pytest.mark.parametrize("text", ["$filename", "$$NOW", "$$REMOVE"])
async def test_name_that_looks_like_an_expression_is_kept(contents: Contents, text: str) -> None:
    content = await contents.open_upload(
        contents.new_id(), file_id=A_FILE, filename=text, content_type=text, length=None, fence=1
    )
    assert (content.filename, content.content_type) == (text, text)


@pytest.mark.parametrize("length", [None, LENGTH])
async def test_opened_with_a_lower_fence_nothing_changes(contents: Contents, length: int | None) -> None:
    content = await uploading(contents, None, fence=3)
    with pytest.raises(LeaseLost):
        await again(contents, content, fence=2, length=length)
    assert await contents.get(content.id) == content


async def test_deleted_content_is_not_opened_again(contents: Contents) -> None:
    content = await uploading(contents, None)
    await contents.drop_ref(content.id, A_FILE)
    with pytest.raises(LeaseLost):
        await again(contents, content, fence=2)


@pytest.mark.parametrize("length", [0, LENGTH, 15 * MIB, 15 * MIB + 1])
async def test_upload_is_stored_chunk_by_chunk_and_gets_its_layout_by_the_seal(
    contents: Contents, intake: Intake, beneath: Beneath, sealed_as: Layout, length: int
) -> None:
    data = some_bytes(length)
    content = await uploading(contents, length)
    for part in segments(data):
        assert await store(intake, content, part)
    assert await beneath.chunk_numbers(content.id) == list(range(content.chunk_count))
    sealed = await intake.seal(content.id, fence=1, seal=seal_of(data))
    assert sealed.layout is (sealed_as if length <= 15 * MIB else Layout.GRIDFS)
    assert await read(contents, sealed) == data
    in_places_of_their_own = sealed.layout is Layout.GRIDFS
    assert await beneath.chunk_numbers(content.id) == list(range(content.chunk_count if in_places_of_their_own else 0))
    if sealed.layout is Layout.INLINE:
        assert [*await contents.read_whole([content.id])] == [content.id]


async def test_seal_removes_the_tail(contents: Contents, intake: Intake, beneath: Beneath) -> None:
    content = await uploading(contents, LENGTH)
    await put_tail(intake, content, 2, b"tail")
    await store(intake, content, segment(OLD))
    await intake.seal(content.id, fence=1, seal=seal_of(OLD))
    assert await contents.tail(content.id) is None


async def test_repeated_seal_removes_what_a_crash_has_left(
    contents: Contents, intake: Intake, beneath: Beneath
) -> None:
    content = await uploading(contents, LENGTH)
    await store(intake, content, segment(OLD))
    sealed = await intake.seal(content.id, fence=1, seal=seal_of(OLD))
    before = await beneath.chunk_numbers(content.id)
    await beneath.put_tail_late(content, Tail(n=2, data=b"tail"), fence=1)
    await beneath.replace_late(content, replace(segment(OLD, 0, 1), first=7), fence=1)
    assert await intake.seal(content.id, fence=1, seal=seal_of(OLD)) == sealed
    assert await beneath.chunk_numbers(content.id) == before
    assert await contents.tail(content.id) is None
    assert await read(contents, sealed) == OLD


async def test_repeated_segment_under_one_fence_is_taken(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    for part in (segment(OLD), segment(OLD), segment(OLD, 1, 1)):
        await store(intake, content, part)
    assert await digests(intake, content) == those_of(OLD)


async def test_other_bytes_under_one_fence_are_a_conflict(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    await store(intake, content, segment(OLD))
    with pytest.raises(ChunkConflict, match="Chunk 1"):
        await store(intake, content, segment(NEW, 1, 1))
    assert await digests(intake, content) == those_of(OLD)


async def test_higher_fence_replaces_chunks_of_a_lower_one(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    await store(intake, content, segment(OLD))
    content = await again(contents, content, fence=2)
    await store(intake, content, segment(NEW))
    sealed = await intake.seal(content.id, fence=2, seal=seal_of(NEW))
    assert await read(contents, sealed) == NEW


async def test_lower_fence_is_refused_once_a_higher_one_has_opened(contents: Contents, intake: Intake) -> None:
    old = await uploading(contents, LENGTH)
    new = await again(contents, old, fence=2)
    with pytest.raises(StaleFence):
        await store(intake, old, segment(OLD))
    with pytest.raises(StaleFence):
        await put_tail(intake, old, 0, b"tail")
    with pytest.raises(StaleFence):
        await intake.seal(old.id, fence=1, seal=seal_of(OLD))
    assert await digests(intake, new) == []
    assert await contents.tail(new.id) is None


@pytest.mark.parametrize("bytes_of_new", [NEW, OLD], ids=["other-bytes", "equal-bytes"])
async def test_late_write_of_a_lower_fence_replaces_nothing(
    contents: Contents, intake: Intake, beneath: Beneath, bytes_of_new: bytes
) -> None:
    """The late write was checked before the higher fence opened the content. Its other bytes must not stay."""
    content = await uploading(contents, LENGTH)
    await store(intake, content, segment(OLD))
    content = await again(contents, content, fence=3)
    await store(intake, content, segment(bytes_of_new))
    for data in (OLD, NEW, some_bytes(LENGTH + 7)[:LENGTH]):
        with pytest.raises(StaleFence):
            await beneath.replace_late(content, segment(data), fence=2)
    assert await digests(intake, content) == those_of(bytes_of_new)


async def test_late_write_that_arrived_first_is_replaced(contents: Contents, intake: Intake, beneath: Beneath) -> None:
    content = await uploading(contents, LENGTH, fence=3)
    await beneath.replace_late(content, segment(OLD), fence=2)
    await store(intake, content, segment(NEW))
    assert await digests(intake, content) == those_of(NEW)


async def test_of_many_writers_at_once_the_highest_fence_is_stored(
    contents: Contents, intake: Intake, beneath: Beneath
) -> None:
    content = await uploading(contents, LENGTH)
    written = {fence: some_bytes(LENGTH + fence)[:LENGTH] for fence in range(1, 9)}
    late = [beneath.replace_late(content, segment(data), fence=fence) for fence, data in written.items()]
    answers = await asyncio.gather(*late, return_exceptions=True)
    assert all(answer is None or isinstance(answer, StaleFence) for answer in answers)
    assert await digests(intake, content) == those_of(written[8])


async def test_chunks_of_a_worker_are_never_replaced(contents: Contents, intake: Intake) -> None:
    content = await opened(contents, LENGTH)
    await store(intake, content, segment(OLD, 0, 1))
    content = await opened(contents, LENGTH, fence=9, content_id=content.id)
    with pytest.raises(ChunkConflict):
        await store(intake, content, segment(NEW))


async def test_while_the_length_is_unknown_only_whole_chunks_are_taken(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, None)
    await store(intake, content, segment(OLD, 0, 2))
    for part in (segment(OLD, 2, 1), segment(OLD)):
        with pytest.raises(LengthMismatch):
            await store(intake, content, part)
    await store(intake, content, replace(segment(OLD, 0, 1), first=2**31 - 1))
    assert await digests(intake, content, count=3) == those_of(OLD)[:2]
    assert len(await intake.digests(content.id, first=0, count=7)) == 7 * 33


async def test_once_the_length_is_known_chunks_must_fit_it(contents: Contents, intake: Intake) -> None:
    content = await again(contents, await uploading(contents, None), fence=2)
    with pytest.raises(ChunkOutOfRange):
        await store(intake, content, replace(segment(OLD, 0, 1), first=3))
    with pytest.raises(LengthMismatch):
        await store(intake, content, replace(segment(OLD, 0, 1), first=2))
    await store(intake, content, segment(OLD))


async def test_open_ended_content_is_not_sealed(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, None)
    for data in (b"", OLD):
        with pytest.raises(LengthMismatch):
            await intake.seal(content.id, fence=1, seal=seal_of(data))


async def test_seal_removes_what_lies_past_the_end(
    contents: Contents, intake: Intake, beneath: Beneath, sealed_as: Layout
) -> None:
    content = await uploading(contents, None)
    await store(intake, content, segment(some_bytes(9 * MIB)))
    content = await again(contents, content, fence=2)
    await store(intake, content, segment(NEW))
    assert await beneath.chunk_numbers(content.id) == list(range(9))
    sealed = await intake.seal(content.id, fence=2, seal=seal_of(NEW))
    assert await beneath.chunk_numbers(content.id) == ([0, 1, 2] if sealed_as is Layout.GRIDFS else [])
    assert await read(contents, sealed) == NEW


async def test_seal_of_an_upload_that_turned_out_empty_removes_all(
    contents: Contents, intake: Intake, beneath: Beneath
) -> None:
    content = await uploading(contents, None)
    await store(intake, content, segment(OLD, 0, 2))
    content = await again(contents, content, fence=2, length=0)
    sealed = await intake.seal(content.id, fence=2, seal=seal_of(b""))
    assert await beneath.chunk_numbers(content.id) == []
    assert await read(contents, sealed) == b""


async def test_seal_of_an_incomplete_upload_names_what_is_missing(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    await store(intake, content, segment(OLD, 1, 1))
    with pytest.raises(ContentIncomplete, match=r"missing: 0, 2\."):
        await intake.seal(content.id, fence=1, seal=seal_of(OLD))


async def test_after_the_seal_neither_chunk_nor_tail_is_taken(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    await store(intake, content, segment(OLD))
    sealed = await intake.seal(content.id, fence=1, seal=seal_of(OLD))
    with pytest.raises(ContentSealed):
        await store(intake, content, segment(NEW))
    with pytest.raises(ContentSealed):
        await put_tail(intake, content, 2, b"tail")
    assert await intake.seal(content.id, fence=1, seal=seal_of(OLD)) == sealed
    assert await read(contents, sealed) == OLD


async def test_tail_is_kept_until_the_next_one(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    assert await contents.tail(content.id) is None
    for n, data in ((0, b"a"), (0, b"ab"), (2, b"\x00" * (MIB - 1)), (1, b"c")):
        await put_tail(intake, content, n, data)
        assert await contents.tail(content.id) == Tail(n=n, data=data)


@pytest.mark.parametrize("length", [0, MIB, MIB + 1])
async def test_tail_has_at_least_a_byte_and_less_than_a_chunk(contents: Contents, intake: Intake, length: int) -> None:
    content = await uploading(contents, LENGTH)
    with pytest.raises(LengthMismatch):
        await put_tail(intake, content, 0, bytes(length))
    assert await contents.tail(content.id) is None


async def test_higher_fence_replaces_the_tail_and_a_late_lower_one_does_not(
    contents: Contents, intake: Intake, beneath: Beneath
) -> None:
    content = await uploading(contents, LENGTH)
    await put_tail(intake, content, 0, b"old")
    content = await again(contents, content, fence=3)
    await put_tail(intake, content, 1, b"new")
    for late in (1, 2):
        with pytest.raises(StaleFence):
            await beneath.put_tail_late(content, Tail(n=0, data=b"late"), fence=late)
    assert await contents.tail(content.id) == Tail(n=1, data=b"new")


async def test_content_of_a_worker_takes_no_tail(contents: Contents, intake: Intake) -> None:
    with pytest.raises(ContentSealed):
        await put_tail(intake, await opened(contents, LENGTH), 0, b"tail")


async def test_unknown_content_takes_no_tail(contents: Contents, intake: Intake) -> None:
    content = replace(await uploading(contents, LENGTH), id=RecordId("f" * 24))
    with pytest.raises(ContentUnknown):
        await put_tail(intake, content, 0, b"tail")


async def test_stored_bytes_are_read_before_the_seal(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    await store(intake, content, segment(OLD))
    assert await _read_open(contents, content) == OLD


async def test_chunks_of_a_parallel_upload_are_read_before_the_seal(ports: Ports) -> None:
    for limit in (15, 0):
        content = await opened(ports.contents, LENGTH)
        await store(ports.intake_with(limit), content, segment(OLD))
        now = await ports.contents.get(content.id)
        assert now is not None
        assert await _read_open(ports.contents, now) == OLD


@pytest.mark.parametrize("length", [0, 1, MIB, 3 * MIB])
async def test_content_of_any_length_is_read_before_the_seal(contents: Contents, intake: Intake, length: int) -> None:
    content = await uploading(contents, length)
    if length:
        await store(intake, content, segment(some_bytes(length)))
    assert await _read_open(contents, content) == some_bytes(length)


async def test_what_lies_past_the_end_is_not_read(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, None)
    await store(intake, content, segment(some_bytes(9 * MIB)))
    content = await again(contents, content, fence=2)
    await store(intake, content, segment(NEW))
    assert await _read_open(contents, content) == NEW


async def test_missing_chunk_ends_the_reading_before_the_seal(contents: Contents, intake: Intake) -> None:
    content = await uploading(contents, LENGTH)
    for missing, kept in ((0, segment(OLD, 1, 2)), (1, segment(OLD, 0, 1)), (2, segment(OLD, 0, 2))):
        other = await uploading(contents, LENGTH)
        await store(intake, other, kept)
        with pytest.raises(ChunkMissing, match=f"Chunk {missing}"):
            await _read_open(contents, other)
    with pytest.raises(ChunkMissing, match="Chunk 0"):
        await _read_open(contents, content)


async def _read_open(contents: Contents, content: Content) -> bytearray:
    received = bytearray()
    await asyncio.to_thread(read_all, contents.read_open(content), received)
    return received


@pytest.mark.parametrize("length", [None, LENGTH, 0])
async def test_delete_leaves_nothing_of_an_upload(
    contents: Contents, intake: Intake, beneath: Beneath, length: int | None
) -> None:
    content = await uploading(contents, None)
    await store(intake, content, segment(some_bytes(9 * MIB)))
    await put_tail(intake, content, 9, b"tail")
    content = await again(contents, content, fence=2, length=length)
    await contents.drop_ref(content.id, A_FILE)
    assert await beneath.remains(content.id) == {"record"}
    await eventually(lambda: _swept(contents, content))
    assert await beneath.remains(content.id) == set()


@pytest.mark.parametrize("way", ["drop_refs", "abandon"])
async def test_every_way_to_delete_leaves_nothing_of_an_upload(
    contents: Contents, intake: Intake, beneath: Beneath, way: str
) -> None:
    content = await uploading(contents, None)
    await store(intake, content, segment(some_bytes(9 * MIB)))
    await put_tail(intake, content, 9, b"tail")
    if way == "abandon":
        assert await contents.abandon(content)
    else:
        await contents.drop_refs({content.id: A_FILE})
    assert await beneath.remains(content.id) == {"record"}


@pytest.mark.parametrize("together", [False, True])
async def test_what_arrives_after_the_delete_is_swept(
    contents: Contents, intake: Intake, beneath: Beneath, together: bool
) -> None:
    content = await uploading(contents, None)
    await contents.drop_ref(content.id, A_FILE)
    await beneath.replace_late(content, segment(some_bytes(9 * MIB)), fence=1)
    await beneath.put_tail_late(content, Tail(n=9, data=b"tail"), fence=1)
    await eventually(lambda: _swept(contents, content, together=together))
    assert await beneath.remains(content.id) == set()


async def _swept(contents: Contents, content: Content, *, together: bool = False) -> bool:
    await (contents.sweep_all([content.id]) if together else contents.sweep(content.id))
    return await contents.get(content.id) is None


async def test_thousands_of_chunks_of_an_unknown_length_are_deleted(contents: Contents, beneath: Beneath) -> None:
    content = await uploading(contents, None)
    await beneath.make_small_chunks(content, [*range(2500), 10**6, 2**31 - 1])
    await contents.drop_ref(content.id, A_FILE)
    assert await beneath.remains(content.id) == {"record"}
