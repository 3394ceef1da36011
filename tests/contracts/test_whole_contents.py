"""The suite of `Intake.store_whole`, which stores many whole contents in one call."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bson import ObjectId
from gridfs.asynchronous import AsyncGridFSBucket

from gridhaul.storage.connect import Database
from gridhaul.storage.content.manifest import Manifests
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.bytes_to_store import MIB, opened, read, seal_of, segment, some_bytes, store, whole_content
from tests.contracts.ports import A_FILE, Ports, mongo_ports

LENGTHS = (0, 1, 65536, MIB, 2 * MIB, 2 * MIB + 1, 5 * MIB)


@pytest.mark.parametrize(("limit", "inline_lengths"), [(15, LENGTHS), (2, LENGTHS[:5]), (0, ())])
async def test_contents_are_sealed_and_read_byte_for_byte(
    ports: Ports, limit: int, inline_lengths: tuple[int, ...]
) -> None:
    bundle = {length: whole_content(some_bytes(length)) for length in LENGTHS}
    layouts = {length: Layout.INLINE if length in inline_lengths else Layout.GRIDFS for length in LENGTHS}
    stored = await ports.intake_with(limit).store_whole(list(bundle.values()))
    assert stored == {one.id: layouts[length] for length, one in bundle.items()}
    for length, one in bundle.items():
        content = await ports.contents.get(one.id)
        assert content is not None
        assert (content.state, content.layout, content.seal) == (ContentState.SEALED, layouts[length], one.seal)
        assert (content.filename, content.content_type) == (one.filename, one.content_type)
        assert (content.fence, content.refs) == (1, (A_FILE,))
        assert await read(ports.contents, content) == some_bytes(length)


@pytest.mark.parametrize("limit", [15, 1])
async def test_repeat_is_not_refused(ports: Ports, limit: int) -> None:
    bundle = [whole_content(some_bytes(length)) for length in LENGTHS]
    intake = ports.intake_with(limit)
    first = await intake.store_whole(bundle)
    assert first.keys() == {one.id for one in bundle}
    assert await intake.store_whole(bundle) == first


@pytest.mark.parametrize("limit", [15, 0])
async def test_same_bundle_twice_at_once_is_stored_once(ports: Ports, limit: int) -> None:
    one = whole_content(some_bytes(5))
    intake = ports.intake_with(limit)
    answers = await asyncio.gather(*(intake.store_whole([one]) for _ in range(4)))
    assert {one.id: Layout.INLINE if limit else Layout.GRIDFS} in answers
    content = await ports.contents.get(one.id)
    assert content is not None
    assert await read(ports.contents, content) == some_bytes(5)


@pytest.mark.parametrize("limit", [15, 0])
async def test_one_that_was_stored_with_other_bytes_is_refused_and_the_others_are_not(ports: Ports, limit: int) -> None:
    first = whole_content(some_bytes(5))
    intake = ports.intake_with(limit)
    await intake.store_whole([first])
    beside = whole_content(some_bytes(7))
    stored = await intake.store_whole([whole_content(some_bytes(6), content_id=first.id), beside])
    assert stored.keys() == {beside.id}
    content = await ports.contents.get(first.id)
    assert content is not None
    assert await read(ports.contents, content) == some_bytes(5)
    assert (await ports.contents.get(beside.id)) is not None


async def test_one_that_another_fence_has_is_refused(ports: Ports) -> None:
    one = whole_content(some_bytes(5))
    intake = ports.intake_with(15)
    await opened(ports.contents, 5, fence=2, content_id=one.id)
    assert await intake.store_whole([one]) == {}
    content = await ports.contents.get(one.id)
    assert content is not None
    assert (content.state, content.fence) == (ContentState.OPEN, 2)
    await intake.store_whole([sealed := whole_content(some_bytes(5))])
    assert await intake.store_whole([replace(sealed, fence=2)]) == {}


async def test_dropped_content_can_not_be_stored_any_more(ports: Ports) -> None:
    one = whole_content(some_bytes(5))
    await ports.contents.drop_ref(one.id, A_FILE)
    assert await ports.intake_with(15).store_whole([one]) == {}
    with pytest.raises(LeaseLost):
        await opened(ports.contents, 5, fence=9, content_id=one.id)


SEALED = ("layout", "sha256", "manifest_root", "sealed_at")
INLINE, CHUNKED = ("inline", "manifests"), ("fs.chunks", "manifests", "fs.files")


@pytest.mark.parametrize(
    ("limit", "held"),
    [
        *((15, set(INLINE[start:stop])) for start, stop in ((0, 0), (0, 1), (1, 2), (0, 2))),
        *((1, set(CHUNKED[start:stop])) for start, stop in ((0, 0), (0, 1), (1, 2), (0, 2), (0, 3))),
    ],
)
@pytest.mark.parametrize("by", ["a repeat", "the next writer", "the next writer under another limit"])
async def test_what_a_crash_left_is_completed(database: Database, limit: int, held: set[str], by: str) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    intake, data = (
        ports.intake_with(limit if by != "the next writer under another limit" else 16 - limit),
        some_bytes(MIB + 5),
    )
    one = await _half_stored(database, ports, data, limit=limit, held=held)
    if by == "a repeat":
        assert (await intake.store_whole([one])).keys() == {one.id}
    else:
        content = await opened(ports.contents, len(data), fence=2, content_id=one.id)
        stored_bytes = bool(held & {"inline", "fs.chunks"})
        assert any(await intake.digests(one.id, first=0, count=2)) is stored_bytes
        await store(intake, content, segment(data))
        await intake.seal(one.id, fence=2, seal=seal_of(data))
    sealed = await ports.contents.get(one.id)
    assert sealed is not None
    assert await read(ports.contents, sealed) == data
    await ports.contents.drop_ref(one.id, A_FILE)
    assert [await database[name].count_documents({}) for name in {*INLINE, *CHUNKED}] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("limit", "held"), [(15, {"inline"}), (15, {"manifests"}), (0, {"fs.chunks"}), (0, {"manifests"})]
)
async def test_other_bytes_than_a_crash_left_are_refused(database: Database, limit: int, held: set[str]) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    one = await _half_stored(database, ports, some_bytes(5), limit=limit, held=held)
    changed = some_bytes(6)[:5]
    other = whole_content(changed, content_id=one.id)
    assert await ports.intake_with(limit).store_whole([other]) == {}
    content = await ports.contents.get(one.id)
    assert content is not None
    assert content.state is ContentState.OPEN


@pytest.mark.parametrize("limit", [15, 0])
@pytest.mark.parametrize("is_sealed", [False, True])
async def test_repeat_under_another_limit_is_refused_and_the_next_writer_completes_it(
    database: Database, limit: int, *, is_sealed: bool
) -> None:
    ports, data = mongo_ports(database, lease_seconds=60), some_bytes(5)
    one = await _half_stored(database, ports, data, limit=limit, held=set())
    if is_sealed:
        await ports.intake_with(limit).store_whole([one])
    intake = ports.intake_with(15 - limit)
    assert await intake.store_whole([one]) == {}
    content = await opened(ports.contents, len(data), fence=2, content_id=one.id)
    if not is_sealed:
        await store(intake, content, segment(data))
    sealed = await intake.seal(one.id, fence=2, seal=seal_of(data))
    assert await read(ports.contents, sealed) == data
    await ports.contents.drop_ref(one.id, A_FILE)
    assert [await database[name].count_documents({}) for name in {*INLINE, *CHUNKED}] == [0, 0, 0, 0]


async def test_chunked_content_is_a_file_of_the_bucket(database: Database) -> None:
    ports, data = mongo_ports(database, lease_seconds=60), some_bytes(2 * MIB + 5)
    one = whole_content(data)
    await ports.intake_with(1).store_whole([one])
    bucket = AsyncGridFSBucket(database)
    stream = await bucket.open_download_stream(ObjectId(one.id))
    assert (await stream.read(), stream.filename) == (data, one.filename)


async def test_one_that_is_taken_over_before_its_seal_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    one, insert = whole_content(some_bytes(5)), Manifests.insert_whole

    async def take_over(self: Manifests, contents: Sequence[WholeContent]) -> set[RecordId]:
        await opened(ports.contents, 5, fence=2, content_id=one.id)
        return await insert(self, contents)

    monkeypatch.setattr(Manifests, "insert_whole", take_over)
    beside = whole_content(some_bytes(6))
    assert (await ports.intake_with(15).store_whole([one, beside])).keys() == {beside.id}
    content = await ports.contents.get(one.id)
    assert content is not None
    assert (content.state, content.fence) == (ContentState.OPEN, 2)


async def _half_stored(database: Database, ports: Ports, data: bytes, *, limit: int, held: set[str]) -> WholeContent:
    """Return an open content of which only the documents in the collections `held` are stored."""
    one = whole_content(data)
    (layout,) = (await ports.intake_with(limit).store_whole([one])).values()
    names = ("sha256", "manifest_root", "sealed_at") if layout is Layout.GRIDFS else SEALED
    sealed = dict.fromkeys(names, "")
    await database["contents"].update_one({}, {"$set": {"state": ContentState.OPEN.value}, "$unset": sealed})
    for name in {*INLINE, *CHUNKED} - held:
        await database[name].delete_many({})
    return one
