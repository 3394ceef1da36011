"""Ranges of contents in MongoDB: damage is named, and the root of a manifest is checked before any byte comes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.storage.content.checked_manifests import CheckedManifests
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.content.manifest import Manifests
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS
from gridhaul.transfer.digest import chunk_digest, manifest_root
from gridhaul.transfer.errors import ChunkCorrupt, ChunkMissing, ContentMismatch, IntegrityError
from gridhaul.transfer.model import Content
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.bytes_to_store import MIB, read_all, sealed, some_bytes
from tests.contracts.ports import A_FILE

LENGTH = 8 * MIB + 5
FIRST, LAST = 2, 5  # numbers of the first and the last chunk of the range
START, STOP = FIRST * MIB + 10, LAST * MIB + 20
PAGES = 3

Damage = Callable[[Database, Content, int], Awaitable[None]]


async def _flip(database: Database, content: Content, n: int) -> None:
    chunk = {"files_id": ObjectId(content.id), "n": n}
    document = await database["fs.chunks"].find_one(chunk)
    assert document is not None
    await database["fs.chunks"].update_one(chunk, {"$set": {"data": _flipped(document["data"])}})


async def _flip_with_digest(database: Database, content: Content, n: int) -> None:
    """Flip a byte and store the digest of the wrong data beside it, so that the document is right by itself."""
    await _flip(database, content, n)
    chunk = {"files_id": ObjectId(content.id), "n": n}
    document = await database["fs.chunks"].find_one(chunk)
    assert document is not None
    await database["fs.chunks"].update_one(chunk, {"$set": {"digest": chunk_digest(document["data"])}})


async def _delete(database: Database, content: Content, n: int) -> None:
    await database["fs.chunks"].delete_one({"files_id": ObjectId(content.id), "n": n})


async def _flip_inline(database: Database, content: Content, n: int) -> None:
    document = await database["inline"].find_one({"_id": ObjectId(content.id)})
    assert document is not None
    await database["inline"].update_one(
        {"_id": document["_id"]}, {"$set": {f"chunks.{n}": _flipped(document["chunks"][n])}}
    )


async def _cut_inline(database: Database, content: Content, n: int) -> None:
    await database["inline"].update_one(
        {"_id": ObjectId(content.id)}, {"$push": {"chunks": {"$each": [], "$slice": n}}}
    )


def _flipped(data: bytes) -> bytes:
    """Flip the last byte, which lies outside of the range even where the chunk lies partly inside."""
    return data[:-1] + bytes([data[-1] ^ 1])


async def _stored(database: Database, *, inline_limit_chunks: int) -> Content:
    intake = MongoIntake(database, inline_limit_chunks=inline_limit_chunks)
    return await sealed(MongoContents(database), intake, some_bytes(LENGTH))


async def _range(contents: MongoContents, content: Content, start: int, stop: int, into: bytearray) -> None:
    await asyncio.to_thread(read_all, contents.read_range(content, start=start, stop=stop), into)


@pytest.mark.parametrize("n", [FIRST, FIRST + 1, LAST])
@pytest.mark.parametrize(
    ("damage", "limit", "error"),
    [
        (_flip, 0, ChunkCorrupt),
        (_flip_with_digest, 0, ChunkCorrupt),
        (_delete, 0, ChunkMissing),
        (_flip_inline, 15, ChunkCorrupt),
        (_cut_inline, 15, ChunkMissing),
    ],
)
async def test_damaged_chunk_is_named_and_only_the_chunks_before_it_come(
    database: Database, damage: Damage, limit: int, error: type[IntegrityError], n: int
) -> None:
    content = await _stored(database, inline_limit_chunks=limit)
    await damage(database, content, n)
    received = bytearray()
    with pytest.raises(error, match=f"Chunk {n} "):
        await _range(MongoContents(database), content, START, STOP, received)
    assert received == some_bytes(LENGTH)[START : max(START, n * MIB)]


@pytest.mark.parametrize("limit", [0, 15])
async def test_damage_outside_of_the_range_does_not_matter_to_it(database: Database, limit: int) -> None:
    content = await _stored(database, inline_limit_chunks=limit)
    damage = _flip_inline if limit else _flip
    for n in (FIRST - 1, LAST + 1):
        await damage(database, content, n)
    received = bytearray()
    await _range(MongoContents(database), content, START, STOP, received)
    assert received == some_bytes(LENGTH)[START:STOP]


@pytest.mark.parametrize("limit", [0, 15])
async def test_manifest_that_fits_to_a_wrong_chunk_is_not_that_of_the_seal(database: Database, limit: int) -> None:
    content = await _stored(database, inline_limit_chunks=limit)
    await (_flip_inline if limit else _flip)(database, content, FIRST)
    wrong = _flipped(some_bytes(LENGTH)[FIRST * MIB : (FIRST + 1) * MIB])
    await _alter_page(database, content, 0, FIRST, chunk_digest(wrong))
    received = bytearray()
    with pytest.raises(ContentMismatch):
        await _range(MongoContents(database), content, START, STOP, received)
    assert not received


async def _alter_page(database: Database, content: Content, page: int, at: int, digest: bytes) -> None:
    key = {"_id": {"content": ObjectId(content.id), "page": page}}
    document = await database["manifests"].find_one(key)
    assert document is not None
    digests = document["digests"]
    altered = digests[: at * 32] + digest + digests[(at + 1) * 32 :]
    await database["manifests"].update_one(key, {"$set": {"digests": altered}})


async def _large(database: Database, *, seed: int = 0) -> Content:
    """Store a manifest of three pages, and of the content's chunks only the last one of 7 bytes. Return the content."""
    count = (PAGES - 1) * MANIFEST_PAGE_CHUNKS + 1
    contents, manifests = MongoContents(database), Manifests(database)
    digests = [*_pages(seed)[:-1], chunk_digest(LAST_CHUNK)]
    content = Content(
        id=contents.new_id(),
        filename="run.h5",
        content_type="a/b",
        length=(count - 1) * MIB + len(LAST_CHUNK),
        state=ContentState.SEALED,
        fence=1,
        refs=(A_FILE,),
        layout=Layout.GRIDFS,
        manifest_root=manifest_root(digests),
    )
    for number, page in enumerate(digests):
        await manifests.write(content.id, number, page, fence=content.fence)
    chunk = {"files_id": ObjectId(content.id), "n": count - 1, "data": LAST_CHUNK, "digest": digests[-1]}
    await database["fs.chunks"].insert_one(chunk)
    return content


LAST_CHUNK = b"abcdefg"


def _pages(seed: int) -> Sequence[bytes]:
    chance = Random(seed)
    return [chance.randbytes(MANIFEST_PAGE_CHUNKS * 32) for _ in range(PAGES)]


async def _last_bytes(contents: MongoContents, content: Content) -> bytes:
    received = bytearray()
    await _range(contents, content, content.length - 3, content.length, received)
    return bytes(received)


async def test_range_beneath_a_manifest_of_several_pages_has_its_bytes(database: Database) -> None:
    assert await _last_bytes(MongoContents(database), await _large(database)) == LAST_CHUNK[-3:]


@pytest.mark.parametrize("page", range(PAGES))
async def test_any_page_that_is_not_that_of_the_seal_is_noticed_before_the_first_byte(
    database: Database, page: int
) -> None:
    content = await _large(database)
    await _alter_page(database, content, page, 0, bytes(32))
    with pytest.raises(ContentMismatch):
        await _last_bytes(MongoContents(database), content)


async def test_page_that_is_missing_is_noticed(database: Database) -> None:
    content = await _large(database)
    await database["manifests"].delete_one({"_id": {"content": ObjectId(content.id), "page": 1}})
    with pytest.raises(ContentMismatch):
        await _last_bytes(MongoContents(database), content)


async def test_page_of_the_range_that_changes_after_the_root_was_checked_is_noticed(database: Database) -> None:
    contents, content = MongoContents(database), await _large(database)
    assert await _last_bytes(contents, content) == LAST_CHUNK[-3:]
    await _alter_page(database, content, PAGES - 1, 0, chunk_digest(b"other"))
    await database["fs.chunks"].update_one({"files_id": ObjectId(content.id)}, {"$set": {"data": b"gfedcba"}})
    with pytest.raises(ContentMismatch):
        await _last_bytes(contents, content)


async def test_manifest_that_was_wrong_is_looked_at_again(database: Database) -> None:
    contents, content = MongoContents(database), await _large(database)
    await _alter_page(database, content, 0, 0, bytes(32))
    with pytest.raises(ContentMismatch):
        await _last_bytes(contents, content)
    await _alter_page(database, content, 0, 0, _pages(0)[0][:32])
    assert await _last_bytes(contents, content) == LAST_CHUNK[-3:]


class CountedManifests(Manifests):
    """Manifests that count how often one was read as a whole."""

    whole_reads = 0

    def pages_in_thread(self, *args: object, **named: object) -> object:  # type: ignore[override]
        self.whole_reads += 1
        return super().pages_in_thread(*args, **named)  # type: ignore[arg-type]


async def test_root_is_checked_once_for_all_ranges_also_for_many_at_once(database: Database) -> None:
    content, manifests = await _large(database), CountedManifests(database)
    checked = CheckedManifests(manifests)
    with ThreadPoolExecutor(16) as pool:
        pages = list(pool.map(lambda number: checked.page(content, number % 2), range(64)))
    assert set(pages) == set(_pages(0)[:2])
    assert manifests.whole_reads == 1


async def test_only_so_many_digests_are_kept_and_those_used_last(database: Database) -> None:
    manifests = CountedManifests(database)
    checked = CheckedManifests(manifests, kept_pages=2 * PAGES)
    one, two, three = [await _large(database, seed=seed) for seed in range(3)]
    for content in (one, two, one, three):  # the third content takes the place of the second
        await asyncio.to_thread(checked.page, content, 0)
    assert manifests.whole_reads == 3
    await asyncio.to_thread(checked.page, one, 0)
    assert manifests.whole_reads == 3
    await asyncio.to_thread(checked.page, two, 0)
    assert manifests.whole_reads == 4
