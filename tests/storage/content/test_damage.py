"""Stored bytes are damaged behind Gridhaul's back: the read names the chunk, and never yields the whole content."""

from collections.abc import Awaitable, Callable

import pytest
from bson import ObjectId
from pymongo import ASCENDING

from gridhaul.storage.connect import Database, Document
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.transfer.chunking import SEGMENT_MAX_CHUNKS
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt, ChunkDoubled, ChunkMissing, ContentMismatch, IntegrityError
from gridhaul.transfer.model import Content
from tests.contracts.bytes_to_store import MIB, read, sealed, some_bytes

SMALL = 2 * MIB + 5
SEGMENT = 16 * MIB
LARGE = 33 * MIB + 5

Damage = Callable[[Database, Content, int], Awaitable[None]]


async def _flip(database: Database, content: Content, n: int) -> None:
    chunk = {"files_id": ObjectId(content.id), "n": n}
    document = await database["fs.chunks"].find_one(chunk)
    assert document is not None
    await database["fs.chunks"].update_one(chunk, {"$set": {"data": _flipped(document["data"])}})


async def _delete(database: Database, content: Content, n: int) -> None:
    await database["fs.chunks"].delete_one({"files_id": ObjectId(content.id), "n": n})


async def _swap(database: Database, content: Content, n: int) -> None:
    """Swap the numbers of the chunk and the next one: data and digest of each document still match."""
    for number, meanwhile in ((n, -1), (n + 1, n), (-1, n + 1)):
        wanted = {"files_id": ObjectId(content.id), "n": number}
        await database["fs.chunks"].update_one(wanted, {"$set": {"n": meanwhile}})


async def _double(database: Database, content: Content, n: int) -> None:
    """Store the chunk twice, which is possible once the unique index is lost."""
    chunks = database["fs.chunks"]
    document = await chunks.find_one({"files_id": ObjectId(content.id), "n": n}, {"_id": 0})
    assert document is not None
    await chunks.drop_index([("files_id", ASCENDING), ("n", ASCENDING)])
    await chunks.insert_one(document)


async def _flip_inline(database: Database, content: Content, n: int) -> None:
    document = await _inline(database, content)
    chunks = [_flipped(chunk) if number == n else chunk for number, chunk in enumerate(document["chunks"])]
    await database["inline"].update_one({"_id": document["_id"]}, {"$set": {"chunks": chunks}})


async def _swap_inline(database: Database, content: Content, n: int) -> None:
    document = await _inline(database, content)
    chunks, digests = document["chunks"], document["digests"]
    chunks[n : n + 2] = chunks[n + 1], chunks[n]
    parts = [digests[at : at + 32] for at in range(0, len(digests), 32)]
    parts[n : n + 2] = parts[n + 1], parts[n]
    swapped = {"chunks": chunks, "digests": b"".join(parts)}
    await database["inline"].update_one({"_id": document["_id"]}, {"$set": swapped})


async def _cut_inline(database: Database, content: Content, n: int) -> None:
    document = await _inline(database, content)
    await database["inline"].update_one({"_id": document["_id"]}, {"$set": {"chunks": document["chunks"][:n]}})


async def _inline(database: Database, content: Content) -> Document:
    document = await database["inline"].find_one({"_id": ObjectId(content.id)})
    assert document is not None
    return document


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


async def _stored(database: Database, length: int, *, inline_limit_chunks: int = 0) -> Content:
    intake = MongoIntake(database, inline_limit_chunks=inline_limit_chunks)
    return await sealed(MongoContents(database), intake, some_bytes(length))


async def _require_refused(database: Database, content: Content, error: type[IntegrityError], naming: str) -> None:
    """Require the error, and that only right bytes came before it, and none of the last segment."""
    for few_readers in (False, True):
        received = bytearray()
        with pytest.raises(error, match=naming):
            await read(MongoContents(database, few_readers=few_readers), content, received)
        assert len(received) <= max(content.chunk_count - SEGMENT_MAX_CHUNKS, 0) * MIB
        assert received == some_bytes(content.length)[: len(received)]


@pytest.mark.parametrize("length", [SMALL, SEGMENT, LARGE])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize(
    ("damage", "error"),
    [(_flip, ChunkCorrupt), (_delete, ChunkMissing), (_double, ChunkDoubled)],
    ids=["flipped", "deleted", "doubled"],
)
async def test_damaged_chunk_is_named(
    database: Database, length: int, place: str, damage: Damage, error: type[IntegrityError]
) -> None:
    content = await _stored(database, length)
    last = content.chunk_count - 1
    n = {"first": 0, "middle": last // 2, "last": last}[place]
    await damage(database, content, n)
    await _require_refused(database, content, error, f"Chunk {n} ")


@pytest.mark.parametrize(("length", "n"), [(SMALL, 0), (SMALL, 1), (LARGE, 20), (LARGE, 32)])
async def test_chunks_swapped_with_their_digests_are_named(database: Database, length: int, n: int) -> None:
    content = await _stored(database, length)
    await _swap(database, content, n)
    await _require_refused(database, content, ChunkCorrupt, f"Chunk {n} ")


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize(
    ("damage", "error"), [(_flip_inline, ChunkCorrupt), (_cut_inline, ChunkMissing)], ids=["flipped", "cut off"]
)
async def test_damaged_chunk_of_an_inline_content_is_named(
    database: Database, n: int, damage: Damage, error: type[IntegrityError]
) -> None:
    content = await _stored(database, SMALL, inline_limit_chunks=15)
    await damage(database, content, n)
    await _require_refused(database, content, error, f"Chunk {n} ")


async def test_chunks_of_an_inline_content_swapped_with_their_digests_are_named(database: Database) -> None:
    content = await _stored(database, 3 * MIB, inline_limit_chunks=15)
    await _swap_inline(database, content, 1)
    await _require_refused(database, content, ChunkCorrupt, "Chunk 1 ")


@pytest.mark.parametrize("limit", [0, 15], ids=["gridfs", "inline"])
async def test_without_its_manifest_nothing_is_given(database: Database, limit: int) -> None:
    content = await _stored(database, SMALL, inline_limit_chunks=limit)
    deleted = await database["manifests"].delete_one({"_id.content": ObjectId(content.id)})
    assert deleted.deleted_count == 1
    await _require_refused(database, content, IntegrityError, "Chunk 0 ")


@pytest.mark.parametrize("length", [SMALL, LARGE])
async def test_manifest_forged_with_its_chunk_is_found_by_the_digest_of_the_whole(
    database: Database, length: int
) -> None:
    content = await _stored(database, length)
    await _flip(database, content, 0)
    document = await database["fs.chunks"].find_one({"files_id": ObjectId(content.id), "n": 0})
    page = await database["manifests"].find_one({"_id.content": ObjectId(content.id)})
    assert document is not None
    assert page is not None
    forged = chunk_digest(document["data"]) + page["digests"][32:]
    await database["manifests"].update_one({"_id": page["_id"]}, {"$set": {"digests": forged}})
    received = bytearray()
    with pytest.raises(ContentMismatch):
        await read(MongoContents(database), content, received)
    assert len(received) <= max(content.chunk_count - SEGMENT_MAX_CHUNKS, 0) * MIB
