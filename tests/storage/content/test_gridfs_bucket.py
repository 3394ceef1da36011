"""The contents as MongoDB sees them: `fs` is a valid GridFS bucket, and queries use their indexes."""

import asyncio
from contextlib import closing
from typing import Any

import pytest
from bson import ObjectId
from gridfs import GridFSBucket
from pymongo import MongoClient

from gridhaul.storage.agenda import MongoAgenda
from gridhaul.storage.connect import Database, Document
from gridhaul.storage.content import intake as intake_module
from gridhaul.storage.content import verified_stream
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.files import MongoFiles
from gridhaul.transfer.errors import ChunkCorrupt
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import Content, Queue
from gridhaul.transfer.states import FileState, Layout
from tests.contracts.bytes_to_store import MIB, opened, read, sealed, segment, some_bytes, store
from tests.contracts.ports import A_FILE, claimed, eventually, mongo_ports, registered

ALL_LAYOUTS = 15


async def _stored(database: Database, length: int, *, inline_limit_chunks: int) -> Content:
    intake = MongoIntake(database, inline_limit_chunks=inline_limit_chunks)
    return await sealed(MongoContents(database), intake, some_bytes(length))


def _download(url: str, name: str, content_id: str) -> tuple[str | None, dict[str, Any], bytes]:
    """Return name, metadata and bytes of the file, read as by any program that knows GridFS and not Gridhaul."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(url) as client, GridFSBucket(client[name]).open_download_stream(ObjectId(content_id)) as stream:
        return stream.filename, dict(stream.metadata or {}), stream.read()


@pytest.mark.parametrize(("length", "limit"), [(0, 0), (MIB, 0), (16 * MIB, 15), (33 * MIB + 5, 15)])
async def test_stock_gridfs_client_reads_a_content_byte_for_byte(
    database: Database, mongo_url: str, length: int, limit: int
) -> None:
    content = await _stored(database, length, inline_limit_chunks=limit)
    filename, metadata, data = await asyncio.to_thread(_download, mongo_url, database.name, content.id)
    assert data == some_bytes(length)
    assert filename == "run.h5"
    assert metadata == {
        "contentType": "application/x-hdf5",
        "sha256": content.sha256,
        "manifestRoot": content.manifest_root,
    }


async def test_bucket_lists_the_gridfs_contents_and_no_others(database: Database) -> None:
    contents = [
        await _stored(database, length, inline_limit_chunks=limit)
        for limit in (0, ALL_LAYOUTS)
        for length in (0, 1, MIB, MIB + 1, 5 * MIB, 16 * MIB)
    ]
    in_gridfs = {ObjectId(content.id) for content in contents if content.layout is Layout.GRIDFS}
    assert len(in_gridfs) == 7
    assert set(await database["fs.files"].distinct("_id")) == in_gridfs
    assert set(await database["fs.chunks"].distinct("files_id")) <= in_gridfs


async def test_content_that_is_not_sealed_is_not_in_the_bucket(database: Database) -> None:
    content = await opened(MongoContents(database), 2 * MIB)
    await store(MongoIntake(database, inline_limit_chunks=0), content, segment(some_bytes(2 * MIB)))
    assert await database["fs.files"].count_documents({}) == 0


@pytest.mark.parametrize("limit", [0, ALL_LAYOUTS])
async def test_deleted_content_leaves_nothing(database: Database, limit: int) -> None:
    content = await _stored(database, 3 * MIB, inline_limit_chunks=limit)
    await MongoContents(database).drop_ref(content.id, A_FILE)
    left = {name: await database[name].count_documents({}) for name in ("fs.files", "fs.chunks", "inline", "manifests")}
    assert left == {"fs.files": 0, "fs.chunks": 0, "inline": 0, "manifests": 0}


async def test_chunk_that_came_late_for_a_deleted_content_is_swept(database: Database) -> None:
    contents = MongoContents(database, sweep_seconds=0)
    content = await _stored(database, MIB, inline_limit_chunks=0)
    await contents.drop_ref(content.id, A_FILE)
    part = segment(some_bytes(MIB))
    await GridFSLayout(database).insert(content.id, 0, part.chunks, part.digests)
    await contents.sweep(content.id)
    assert await contents.get(content.id) is None
    assert await database["fs.chunks"].count_documents({}) == 0


async def test_manifest_of_several_pages_is_written_read_and_deleted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (intake_module, verified_stream):
        monkeypatch.setattr(module, "MANIFEST_PAGE_CHUNKS", 4)
    contents = MongoContents(database)
    content = await _stored(database, 10 * MIB, inline_limit_chunks=0)
    pages = [len(page["digests"]) // 32 async for page in database["manifests"].find().sort("_id.page")]
    assert pages == [4, 4, 2]
    assert await read(contents, content) == some_bytes(10 * MIB)
    await database["manifests"].delete_one({"_id.page": 1})
    with pytest.raises(ChunkCorrupt, match="Chunk 4 "):
        await read(contents, content)
    await contents.drop_ref(content.id, A_FILE)
    assert await database["manifests"].count_documents({}) == 0


async def _plans(database: Database, collection: str) -> list[dict[str, Any]]:
    """Return the profiler's entries about queries on the collection."""
    wanted = {"ns": f"{database.name}.{collection}", "planSummary": {"$exists": True}}
    return [entry async for entry in database["system.profile"].find(wanted)]


async def test_digests_are_answered_from_the_index_alone(database: Database) -> None:
    content = await _stored(database, 5 * MIB, inline_limit_chunks=0)
    await database.command("profile", 2)
    held = await MongoIntake(database, inline_limit_chunks=0).digests(content.id, first=0, count=1024)
    assert len(held) == 5 * 33
    (plan,) = await _plans(database, "fs.chunks")
    assert (plan["docsExamined"], plan["nreturned"]) == (0, 5)
    assert plan["planSummary"] == "IXSCAN { files_id: 1, n: 1, digest: 1 }"


async def test_reading_that_stops_in_the_middle_leaves_no_cursor(database: Database) -> None:
    content = await _stored(database, 31 * MIB, inline_limit_chunks=0)
    for few_readers in (False, True):
        with closing(MongoContents(database, few_readers=few_readers).read(content)) as chunks:
            assert await asyncio.to_thread(next, iter(chunks)) == some_bytes(31 * MIB)[:MIB]

    async def none_is_left() -> bool:
        idle: list[Document] = [{"$currentOp": {"idleCursors": True}}, {"$match": {"ns": f"{database.name}.fs.chunks"}}]
        return not [one async for one in await database.client.admin.aggregate(idle)]

    assert await eventually(none_is_left)


@pytest.mark.parametrize("few_readers", [False, True])
@pytest.mark.parametrize(("length", "batches"), [(3 * MIB, 1), (15 * MIB, 4), (31 * MIB, 8)])
async def test_nothing_is_read_twice_or_past_the_end(
    database: Database, length: int, batches: int, few_readers: bool
) -> None:
    content = await _stored(database, length, inline_limit_chunks=0)
    await database.command("profile", 2)
    await read(MongoContents(database, few_readers=few_readers), content)
    plans = await _plans(database, "fs.chunks")
    assert len(plans) == batches
    assert sum(plan["docsExamined"] for plan in plans) == length // MIB


async def test_queries_of_listings_and_dispatcher_use_indexes(database: Database) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    released = await claimed(ports, await registered(ports))
    await ports.files.release(released.lease, FileState.REGISTERED, delay_seconds=0)
    await registered(ports)
    await database.command("profile", 2)
    files, agenda = MongoFiles(database, lease_seconds=60), MongoAgenda(database)
    for states in ((), [FileState.REGISTERED], set(FileState) - {FileState.DELETED}):
        await files.page(Selection(states=states), limit=10, after=None)
        await files.page(Selection(states=states), limit=10, after=released)
    await agenda.due(10)
    await agenda.overlooked(Queue.SMALL, 10, seconds=60)
    await agenda.unanswered(Queue.SMALL, 10)
    await MongoDeliveries(database, lease_seconds=60).of_file(released.id)
    for collection in ("files", "deliveries", "contents"):
        plans = await _plans(database, collection)
        assert len(plans) >= 3
        assert not [plan["planSummary"] for plan in plans if "COLLSCAN" in plan["planSummary"]]
