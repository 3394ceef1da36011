"""The suite of `Contents` and `Intake`, which share the stored bytes."""

import asyncio
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
    DigestMismatch,
    LeaseLost,
    LengthMismatch,
    StaleFence,
    StateConflict,
)
from gridhaul.transfer.model import RecordId, Segment
from gridhaul.transfer.ports.contents import Contents, Intake
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.bytes_to_store import MIB, opened, read, seal_of, sealed, segment, some_bytes, store
from tests.contracts.ports import A_FILE, Ports, eventually

LENGTHS = (0, 1, MIB - 1, MIB, MIB + 1, 15 * MIB, 15 * MIB + 1, 16 * MIB, 33 * MIB + 5)
SMALL = 2 * MIB + 5
NOT_HELD = bytes(33)


@pytest.fixture
def contents(ports: Ports) -> Contents:
    return ports.contents


@pytest.fixture
def intake(ports: Ports) -> Intake:
    """Return the intake as in production: contents of up to 15 chunks are inline."""
    return ports.intake_with(15)


@pytest.fixture(params=[15, 0], ids=["inline", "gridfs"])
def either(request: pytest.FixtureRequest, ports: Ports) -> Intake:
    """Return an intake that stores small contents inline, or in GridFS."""
    return ports.intake_with(request.param)


def _other(part: Segment) -> Segment:
    """Return a segment of the same length with another last byte."""
    last = part.chunks[-1][:-1] + bytes([part.chunks[-1][-1] ^ 1])
    return replace(part, chunks=(*part.chunks[:-1], last), digests=(*part.digests[:-1], chunk_digest(last)))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("limit", [15, 0])
async def test_what_is_stored_is_read_byte_for_byte(ports: Ports, length: int, limit: int) -> None:
    data = some_bytes(length)
    content = await sealed(ports.contents, ports.intake_with(limit), data)
    assert content.state is ContentState.SEALED
    assert content.layout is (Layout.INLINE if limit and length <= 15 * MIB else Layout.GRIDFS)
    assert await ports.contents.get(content.id) == content
    assert await read(ports.contents, content) == data


async def test_content_not_sealed_can_not_be_read(contents: Contents) -> None:
    with pytest.raises(StateConflict):
        await read(contents, await opened(contents, 0))


async def test_repeated_segment_stores_nothing_new(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await opened(contents, SMALL)
    assert await store(either, content, segment(data))
    assert not await store(either, content, segment(data))
    assert not await store(either, content, segment(data, 1, 1))
    await either.seal(content.id, fence=1, seal=seal_of(data))


async def test_same_segment_many_times_at_once_is_stored_once(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await opened(contents, SMALL)
    await asyncio.gather(*(store(either, content, segment(data)) for _ in range(5)))
    assert await read(contents, await either.seal(content.id, fence=1, seal=seal_of(data))) == data


async def test_partly_repeated_segment_stores_the_rest(contents: Contents, intake: Intake) -> None:
    data = some_bytes(SMALL)
    content = await opened(contents, SMALL)
    assert await store(intake, content, segment(data, 1, 1))
    assert await store(intake, content, segment(data))
    assert await read(contents, await intake.seal(content.id, fence=1, seal=seal_of(data))) == data


async def test_repeat_with_other_bytes_is_a_conflict(contents: Contents, either: Intake) -> None:
    content = await opened(contents, SMALL)
    part = segment(some_bytes(SMALL))
    await store(either, content, part)
    with pytest.raises(ChunkConflict, match="Chunk 2"):
        await store(either, content, _other(part))
    with pytest.raises(ChunkConflict, match="Chunk 1"):
        await store(either, content, _other(part.part(1, 2)))


async def test_stale_fence_stores_and_seals_nothing(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    stale = await opened(contents, SMALL)
    await opened(contents, SMALL, fence=2, content_id=stale.id)
    with pytest.raises(StaleFence):
        await store(either, stale, segment(data))
    with pytest.raises(StaleFence):
        await either.seal(stale.id, fence=1, seal=seal_of(data))
    assert await either.digests(stale.id, first=0, count=3) == 3 * NOT_HELD


async def test_opened_with_a_higher_fence_it_keeps_what_is_stored(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    first = await opened(contents, SMALL)
    await store(either, first, segment(data))
    second = await opened(contents, SMALL, fence=7, content_id=first.id)
    assert (second.id, second.fence, second.refs) == (first.id, 7, (A_FILE,))
    assert not await store(either, second, segment(data))


async def test_opened_with_a_lower_fence_the_lease_is_lost(contents: Contents) -> None:
    content = await opened(contents, 1, fence=3)
    with pytest.raises(LeaseLost):
        await opened(contents, 1, fence=2, content_id=content.id)
    assert await contents.get(content.id) == content


@pytest.mark.parametrize("text", ["$filename", "$$NOW", "$$REMOVE"])
async def test_name_that_looks_like_an_expression_is_kept(contents: Contents, text: str) -> None:
    content_id = contents.new_id()
    content = await contents.open(content_id, file_id=A_FILE, filename=text, content_type=text, length=0, fence=1)
    assert (content.filename, content.content_type) == (text, text)


async def test_after_the_seal_no_chunk_is_taken_whatever_its_bytes(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    for late in (segment(data), _other(segment(data))):
        with pytest.raises(ContentSealed):
            await store(either, content, late)
    assert await read(contents, content) == data


async def test_sealed_twice_it_is_the_same(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    assert await either.seal(content.id, fence=1, seal=seal_of(data)) == content


async def test_sealed_many_times_at_once_it_is_the_same(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await opened(contents, SMALL)
    await store(either, content, segment(data))
    answers = await asyncio.gather(*(either.seal(content.id, fence=1, seal=seal_of(data)) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)


async def test_sealed_again_with_another_digest_is_refused(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    for wrong in (replace(seal_of(data), sha256="0" * 64), replace(seal_of(data), manifest_root="0" * 64)):
        with pytest.raises(ContentSealed):
            await either.seal(content.id, fence=1, seal=wrong)
    assert await contents.get(content.id) == content


async def test_incomplete_content_names_what_is_missing(contents: Contents, intake: Intake) -> None:
    data = some_bytes(4 * MIB)
    content = await opened(contents, len(data))
    await store(intake, content, segment(data, 1, 1))
    with pytest.raises(ContentIncomplete, match=r"missing: 0, 2, 3\."):
        await intake.seal(content.id, fence=1, seal=seal_of(data))
    with pytest.raises(StateConflict):
        await read(contents, content)


async def test_content_with_nothing_stored_names_all_but_at_most_a_hundred(contents: Contents, either: Intake) -> None:
    content = await opened(contents, 150 * MIB)
    seal = replace(seal_of(b""), length=150 * MIB)
    with pytest.raises(ContentIncomplete, match=r"missing: 0, 1, .*, 99\."):
        await either.seal(content.id, fence=1, seal=seal)


async def test_wrong_root_does_not_seal(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await opened(contents, SMALL)
    await store(either, content, segment(data))
    with pytest.raises(DigestMismatch):
        await either.seal(content.id, fence=1, seal=replace(seal_of(data), manifest_root="0" * 64))
    with pytest.raises(LengthMismatch):
        await either.seal(content.id, fence=1, seal=replace(seal_of(data), length=SMALL - 1))
    assert await read(contents, await either.seal(content.id, fence=1, seal=seal_of(data))) == data


async def test_chunk_past_the_end_is_out_of_range(contents: Contents, either: Intake) -> None:
    content = await opened(contents, SMALL)
    part = segment(some_bytes(SMALL))
    for first in (1, 3, 2**31 - 1):
        with pytest.raises(ChunkOutOfRange):
            await store(either, content, replace(part, first=first))


@pytest.mark.parametrize("length", [SMALL - 1, SMALL + 1, 3 * MIB])
async def test_chunk_of_a_wrong_length_is_refused(contents: Contents, either: Intake, length: int) -> None:
    content = await opened(contents, SMALL)
    with pytest.raises(LengthMismatch):
        await store(either, content, segment(some_bytes(length)))
    assert await either.digests(content.id, first=0, count=3) == 3 * NOT_HELD


async def test_digests_say_chunk_by_chunk_what_is_held(contents: Contents, intake: Intake) -> None:
    data = some_bytes(4 * MIB)
    content = await opened(contents, len(data))
    await store(intake, content, segment(data, 1, 2))
    one, two = (b"\x01" + digest for digest in segment(data, 1, 2).digests)
    assert await intake.digests(content.id, first=0, count=1024) == NOT_HELD + one + two + NOT_HELD
    assert await intake.digests(content.id, first=2, count=1) == two
    assert await intake.digests(content.id, first=4, count=10) == b""


async def test_digests_of_a_sealed_content_are_its_manifest(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    expected = b"".join(b"\x01" + digest for digest in segment(data).digests)
    assert await either.digests(content.id, first=0, count=1024) == expected


async def test_unknown_content_is_not_found(contents: Contents, intake: Intake) -> None:
    unknown = RecordId("f" * 24)
    assert await contents.get(unknown) is None
    with pytest.raises(ContentUnknown):
        await intake.digests(unknown, first=0, count=1)
    with pytest.raises(ContentUnknown):
        await intake.seal(unknown, fence=1, seal=seal_of(b""))


async def test_content_dropped_before_it_was_made_is_never_made(contents: Contents) -> None:
    content_id = contents.new_id()
    await contents.drop_ref(content_id, A_FILE)
    with pytest.raises(LeaseLost):
        await opened(contents, SMALL, content_id=content_id)

    async def swept() -> bool:
        await contents.sweep(content_id)
        return await contents.get(content_id) is None

    await eventually(swept)


async def test_without_refs_all_bytes_are_deleted(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    await contents.drop_ref(content.id, RecordId("b" * 24))
    assert await read(contents, content) == data
    await contents.drop_ref(content.id, A_FILE)
    await contents.drop_ref(content.id, A_FILE)
    received = bytearray()
    with pytest.raises(ChunkMissing, match="Chunk 0"):
        await read(contents, content, received)
    assert not received
    with pytest.raises(ContentUnknown):
        await store(either, content, segment(data))
    with pytest.raises(LeaseLost):
        await opened(contents, SMALL, fence=9, content_id=content.id)


async def test_sweep_waits_until_nothing_can_come_late(contents: Contents, either: Intake) -> None:
    content = await sealed(contents, either, some_bytes(SMALL))
    await contents.sweep(content.id)
    assert await contents.get(content.id) == content
    await contents.drop_ref(content.id, A_FILE)
    await contents.sweep(content.id)
    deleting = await contents.get(content.id)
    assert deleting is not None
    assert deleting.state is ContentState.DELETING

    async def swept() -> bool:
        await contents.sweep(content.id)
        return await contents.get(content.id) is None

    await eventually(swept)


async def test_free_space_is_a_number_of_bytes(intake: Intake) -> None:
    space = await intake.free_space()
    assert space.disk_bytes > 0
    assert space.reusable_bytes >= 0


@pytest.mark.parametrize("n", [0, 2])
async def test_repair_of_a_chunk_that_is_right_changes_nothing(contents: Contents, either: Intake, n: int) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    assert not await repair(either, content.id, segment(data, n, 1))
    assert await read(contents, content) == data


async def test_repair_takes_no_bytes_but_those_of_the_manifest(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    for wrong in (replace(segment(data, 0, 1), first=1), replace(segment(b"x" * MIB, 0, 1), first=1)):
        with pytest.raises(ChunkConflict):
            await repair(either, content.id, wrong)
    with pytest.raises(LengthMismatch):
        await repair(either, content.id, replace(segment(data, 2, 1), first=1))
    with pytest.raises(ChunkOutOfRange):
        await repair(either, content.id, replace(segment(data, 2, 1), first=3))
    assert await read(contents, content) == data


async def test_only_what_is_sealed_is_repaired(contents: Contents, either: Intake) -> None:
    part = segment(some_bytes(SMALL), 0, 1)
    content = await opened(contents, SMALL)
    with pytest.raises(StateConflict):
        await repair(either, content.id, part)
    with pytest.raises(ContentUnknown):
        await repair(either, RecordId("f" * 24), part)


async def repair(intake: Intake, content_id: RecordId, part: Segment) -> bool:
    return await intake.repair(content_id, n=part.first, chunk=part.chunks[0], digest=part.digests[0])


async def test_abandoned_content_has_no_bytes_and_waits_to_be_swept(contents: Contents, either: Intake) -> None:
    content = await sealed(contents, either, some_bytes(SMALL))
    assert await contents.abandon(content)
    found = await contents.get(content.id)
    assert found is not None
    assert found.state is ContentState.DELETING
    with pytest.raises(ChunkMissing):
        await read(contents, content)


async def test_content_that_has_changed_is_not_abandoned(contents: Contents, either: Intake) -> None:
    data = some_bytes(SMALL)
    content = await sealed(contents, either, data)
    assert not await contents.abandon(replace(content, fence=content.fence + 1))
    assert not await contents.abandon(replace(content, state=ContentState.OPEN))
    assert await read(contents, content) == data
