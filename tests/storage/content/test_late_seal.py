"""A seal that was sent twice, or by a request that has lost its upload, and that the store carries out late."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.content.manifest import Manifests
from gridhaul.transfer.errors import StaleFence
from gridhaul.transfer.model import Content, RecordId
from tests.contracts.bytes_to_store import MIB, opened, read, read_all, seal_of, segment, some_bytes, store
from tests.contracts.ports import A_FILE

LENGTH = 2 * MIB + 5
OLD, NEW = some_bytes(LENGTH), some_bytes(LENGTH + MIB)[:LENGTH]
INLINE_CHUNKS = 15


@pytest.fixture
def contents(database: Database) -> MongoContents:
    return MongoContents(database, sweep_seconds=60)


@pytest.fixture
def intake(database: Database) -> MongoIntake:
    return MongoIntake(database, inline_limit_chunks=INLINE_CHUNKS)


async def uploading(contents: MongoContents, *, fence: int, content: Content | None = None) -> Content:
    return await contents.open_upload(
        content.id if content else contents.new_id(),
        file_id=A_FILE,
        filename="run.h5",
        content_type="application/x-hdf5",
        length=LENGTH,
        fence=fence,
    )


class Late:
    """One call of a method, which waits when it begins, or when it has ended. Later calls don't wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, *, waits_at_its_end: bool) -> None:
        self.has_begun, self.may_go_on = asyncio.Event(), asyncio.Event()
        method: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def late(*args: Any, **options: Any) -> Any:
            if self.has_begun.is_set():
                return await method(*args, **options)
            self.has_begun.set()
            if waits_at_its_end:
                answer = await method(*args, **options)
                await self.may_go_on.wait()
                return answer
            await self.may_go_on.wait()
            return await method(*args, **options)

        monkeypatch.setattr(owner, name, late)


@pytest.fixture(
    params=[
        (GridFSLayout, "chunks", False),
        (GridFSLayout, "chunks", True),
        (InlineLayout, "replace", False),
        (Manifests, "write", False),
    ]
)
def late(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Late:
    owner, name, waits_at_its_end = request.param
    return Late(monkeypatch, owner, name, waits_at_its_end=waits_at_its_end)


async def test_copy_of_a_seal_that_is_late_finds_the_same_content(
    contents: MongoContents, intake: MongoIntake, late: Late
) -> None:
    content = await uploading(contents, fence=1)
    await store(intake, content, segment(OLD))
    copy = asyncio.create_task(intake.seal(content.id, fence=1, seal=seal_of(OLD)))
    await late.has_begun.wait()
    sealed = await intake.seal(content.id, fence=1, seal=seal_of(OLD))
    late.may_go_on.set()
    assert await copy == sealed
    assert await read(contents, sealed) == OLD


async def test_seal_of_a_lost_request_changes_nothing_of_what_was_sealed_since(
    contents: MongoContents, intake: MongoIntake, late: Late
) -> None:
    content = await uploading(contents, fence=1)
    await store(intake, content, segment(OLD))
    lost = asyncio.create_task(intake.seal(content.id, fence=1, seal=seal_of(OLD)))
    await late.has_begun.wait()
    content = await uploading(contents, fence=2, content=content)
    await store(intake, content, segment(NEW))
    sealed = await intake.seal(content.id, fence=2, seal=seal_of(NEW))
    late.may_go_on.set()
    with pytest.raises(StaleFence):
        await lost
    assert await contents.get(content.id) == sealed
    assert await read(contents, sealed) == NEW


async def test_copies_of_a_write_at_once_are_all_carried_out(database: Database) -> None:
    manifests = Manifests(database)
    for page in range(20):
        content_id = RecordId(str(ObjectId()))
        await asyncio.gather(*(manifests.write(content_id, page, b"digests", fence=1) for _ in range(8)))
        assert await manifests.page(content_id, page) == b"digests"


async def test_inline_chunks_are_read_although_a_crash_left_the_layout_out(
    contents: MongoContents, intake: MongoIntake, database: Database
) -> None:
    content = await opened(contents, LENGTH)
    await store(intake, content, segment(OLD))
    await database["contents"].update_one({"_id": ObjectId(content.id)}, {"$set": {"layout": None}})
    now = await contents.get(content.id)
    assert now is not None
    received = bytearray()
    await asyncio.to_thread(read_all, contents.read_open(now), received)
    assert received == OLD
    sealed = await intake.seal(content.id, fence=1, seal=seal_of(OLD))
    assert await read(contents, sealed) == OLD
