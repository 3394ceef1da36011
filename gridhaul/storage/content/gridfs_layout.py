"""The layout of contents past 16 MB: one document per chunk in a GridFS bucket, and one in `fs.files` at the seal.

The documents follow the GridFS specification, with the digest beside the data; any GridFS client can read them.
"""

import itertools
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, CursorType, ReplaceOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from gridhaul.storage.connect import Database, as_bytes, for_threads, may_pass
from gridhaul.storage.content.inserting import doubles, found_by_all
from gridhaul.storage.content.verified_stream import NumberedChunk
from gridhaul.storage.majority_reads import catch_up_in_thread
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.chunking import CHUNK_BYTES, MANIFEST_PAGE_CHUNKS
from gridhaul.transfer.errors import ChunkConflict, StaleFence
from gridhaul.transfer.model import Content, RecordId, Seal

NumberedDigest = tuple[int, bytes]

INSERT_CHUNKS = 4  # documents in one insert: few enough that inserts overlap, far below the 48 MB of a message
DELETE_CHUNKS = 1024
READ_CHUNKS = 4  # documents in one answer: few enough to stay in the processor's caches until they are used
# Queries for many chunks name this index. Otherwise MongoDB tries both indexes, and reads chunks with each of them.
BY_NUMBER = [("files_id", ASCENDING), ("n", ASCENDING), ("digest", ASCENDING)]


class GridFSLayout:
    def __init__(self, database: Database, *, few_readers: bool = False) -> None:
        self._cursor_type = CursorType.EXHAUST if few_readers else CursorType.NON_TAILABLE
        self._chunks = database["fs.chunks"]
        self._files = database["fs.files"]
        self._in_threads = for_threads(database)["fs.chunks"]

    async def insert(self, content_id: RecordId, first: int, chunks: Sequence[bytes], digests: Sequence[bytes]) -> bool:
        """Store the chunks. Return whether any is new. Raises ChunkConflict if a number is stored with other bytes."""
        documents = _chunk_documents(content_id, first, chunks, digests)
        repeated = await self._insert(documents)
        if repeated:
            await self._require_same(content_id, repeated)
        return len(repeated) < len(documents)

    async def replace(
        self, content_id: RecordId, first: int, chunks: Sequence[bytes], digests: Sequence[bytes], *, fence: int
    ) -> bool:
        """Store the chunks under the fence, in place of chunks with a lower fence. Return True.

        Equal bytes get the fence, too: else the late write of an earlier request could still replace them. Raises
        StaleFence if a chunk has a higher fence, and ChunkConflict if it has the same fence and other bytes.
        """
        documents = _chunk_documents(content_id, first, chunks, digests)
        for document in documents:
            document["fence"] = fence
        repeated = await self._insert(documents)
        for document in repeated:
            await self._replace(document)
        return True

    async def _replace(self, document: dict[str, Any]) -> None:
        key = {"files_id": document["files_id"], "n": document["n"]}
        fields = {name: value for name, value in document.items() if name != "_id"}
        replaced = await self._chunks.replace_one({**key, "fence": {"$lt": document["fence"]}}, fields)
        if replaced.matched_count:
            return
        held = await self._chunks.find_one(key, {"digest": 1, "fence": 1}) or {}
        if held.get("fence") != document["fence"]:
            raise StaleFence("Another request has continued the upload since.")
        if held["digest"] != document["digest"]:
            raise ChunkConflict(f"Chunk {document['n']} is stored with other bytes.")

    async def insert_whole(self, contents: Sequence[WholeContent]) -> set[RecordId]:
        """Store all chunks of each content. Return the ids under which other bytes are stored."""
        documents = [document for one in contents for document in _chunk_documents(one.id, 0, one.chunks, one.digests)]
        unlike = set()
        repeated = sorted(await self._insert(documents), key=itemgetter("files_id"))
        for files_id, same in itertools.groupby(repeated, key=itemgetter("files_id")):
            content_id = RecordId(str(files_id))
            try:
                await self._require_same(content_id, list(same))
            except ChunkConflict:
                unlike.add(content_id)
        return unlike

    async def _insert(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Insert the documents, some at a time. Return the ones whose number was stored already."""
        parts = [documents[at : at + INSERT_CHUNKS] for at in range(0, len(documents), INSERT_CHUNKS)]
        return await found_by_all(self._insert_part(part) for part in parts)

    async def _insert_part(self, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Insert the documents. Return the ones whose number was stored already."""
        return [documents[at] for at in await doubles(self._chunks.insert_many(documents, ordered=False))]

    async def _require_same(self, content_id: RecordId, documents: list[dict[str, Any]]) -> None:
        numbers = [document["n"] for document in documents]
        held = dict(await self.digests(content_id, min(numbers), max(numbers) - min(numbers) + 1))
        for document in documents:
            if held.get(document["n"]) != document["digest"]:
                raise ChunkConflict(f"Chunk {document['n']} is stored with other bytes.")

    async def digests(self, content_id: RecordId, first: int, count: int) -> list[NumberedDigest]:
        """Return the stored digests among `count` numbers from `first`, in order. An index alone answers the query."""
        wanted = {"files_id": ObjectId(content_id), "n": {"$gte": first, "$lt": first + count}}
        covered = {"_id": 0, "n": 1, "digest": 1}
        cursor = self._chunks.find(wanted, covered, hint=BY_NUMBER).sort("n", ASCENDING)
        return [(document["n"], bytes(document["digest"])) async for document in cursor]

    async def chunks(self, content_id: RecordId) -> tuple[list[bytes], list[bytes]]:
        """Return all chunks of a small content, and their digests."""
        cursor = self._chunks.find({"files_id": ObjectId(content_id)}, hint=BY_NUMBER).sort("n", ASCENDING)
        found = [(bytes(document["data"]), bytes(document["digest"])) async for document in cursor]
        return [data for data, _ in found], [digest for _, digest in found]

    def digests_in_thread(self, content_id: RecordId, page: int) -> bytes:
        """Return the digests of one page of the manifest as the chunks have them, 32 bytes a chunk. For threads.

        The digests before the first chunk that is missing are returned.
        """
        numbers = range(page * MANIFEST_PAGE_CHUNKS, (page + 1) * MANIFEST_PAGE_CHUNKS)
        wanted = {"files_id": ObjectId(content_id), "n": {"$gte": numbers.start, "$lt": numbers.stop}}
        cursor = self._in_threads.find(wanted, {"_id": 0, "n": 1, "digest": 1}, hint=BY_NUMBER).sort("n", ASCENDING)
        stored = zip(cursor, numbers, strict=False)
        return b"".join(found["digest"] for found, n in itertools.takewhile(lambda one: one[0]["n"] == one[1], stored))

    def batches(self, content: Content) -> Generator[list[NumberedChunk]]:
        """Yield all chunks as `_batches` does."""
        return self._batches(content, range(content.chunk_count), at_once=READ_CHUNKS)

    def chunk_by_chunk(self, content: Content, numbers: range) -> Generator[list[NumberedChunk]]:
        """Yield the chunks of these numbers as `_batches` does, one in a batch."""
        return self._batches(content, numbers, at_once=1)

    def _batches(self, content: Content, numbers: range, *, at_once: int) -> Generator[list[NumberedChunk]]:
        """Yield the chunks of these numbers in order, from one cursor; another replaces a lost cursor. For threads.

        A batch has at most `at_once` chunks. If chunks are missing, the primary catches up and the read goes on. Chunks
        that are missing then are left out.
        """
        first, caught_up = numbers.start, False
        while first < numbers.stop:
            begun_at = first
            try:
                with closing(self._batches_of(content, range(first, numbers.stop), at_once)) as batches:
                    for batch in batches:
                        if not caught_up and batch[-1][0] >= first + len(batch):  # a chunk is missing
                            break
                        first += len(batch)
                        yield batch
            except PyMongoError as error:
                if first == begun_at or not may_pass(error):
                    raise
                caught_up = False
                continue
            if caught_up:  # the caller notices which chunks are missing
                return
            if first < numbers.stop:
                catch_up_in_thread(self._in_threads)
                caught_up = True

    def _batches_of(self, content: Content, numbers: range, at_once: int) -> Generator[list[NumberedChunk]]:
        wanted = {"files_id": ObjectId(content.id), "n": {"$gte": numbers.start, "$lt": numbers.stop}}
        found = self._in_threads.find(wanted, hint=BY_NUMBER, batch_size=at_once, cursor_type=self._cursor_type)
        with found.sort("n", ASCENDING) as cursor:
            while documents := cursor.to_list(at_once):
                yield [(document["n"], as_bytes(document.get("data"))) for document in documents]

    async def publish(self, content: Content, seal: Seal) -> None:
        """Write the bucket's `files` document. From now on every GridFS client sees the file."""
        document = {**_bucket_file(content, seal), "uploadDate": datetime.now(UTC)}
        await self._files.replace_one({"_id": ObjectId(content.id)}, document, upsert=True)

    async def publish_whole(self, contents: Sequence[WholeContent]) -> None:
        """Publish each content as `publish` does."""
        now = datetime.now(UTC)
        files = {ObjectId(one.id): {**_bucket_file(one, one.seal), "uploadDate": now} for one in contents}
        if files:
            writes = [ReplaceOne({"_id": key}, document, upsert=True) for key, document in files.items()]
            await self._files.bulk_write(writes, ordered=False)

    async def is_published(self, content: Content) -> bool:
        """Return whether the bucket's `files` document of a sealed content exists, as `publish` wrote it."""
        document = await self._files.find_one({"_id": ObjectId(content.id)}) or {}
        wanted = _bucket_file(content, content.seal)
        return {name: document.get(name) for name in wanted} == wanted and "uploadDate" in document

    async def restore(self, content_id: RecordId, n: int, data: bytes, digest: bytes) -> bool:
        """Store the right data under the number in one write, unless it is stored. Return whether any was wrong."""
        document = {"files_id": ObjectId(content_id), "n": n, "data": data, "digest": digest}
        key = {"files_id": ObjectId(content_id), "n": n}
        while True:
            held = [found async for found in self._chunks.find(key)]
            if any((found.get("data"), found.get("digest")) == (data, digest) for found in held):
                return False
            if held:
                right = [found for found in held if found.get("data") == data]
                await self._chunks.replace_one({"_id": (right or held)[0]["_id"]}, document)
                return True
            with suppress(DuplicateKeyError):  # another request stored the chunk just now: look again
                await self._chunks.insert_one(document)
                return True

    async def delete(self, content_id: RecordId, chunk_count: int) -> None:
        """Delete the `files` document first, so that no GridFS client finds a file with missing chunks."""
        await self._files.delete_one({"_id": ObjectId(content_id)})
        for first in range(0, chunk_count, DELETE_CHUNKS):
            numbers = {"$gte": first, "$lt": first + DELETE_CHUNKS}
            await self._chunks.delete_many({"files_id": ObjectId(content_id), "n": numbers}, hint=BY_NUMBER)
        await self.delete_from(content_id, 0)  # chunks past the content's end, and those of an unknown length

    async def delete_from(self, content_id: RecordId, first: int) -> None:
        """Delete the chunks from number `first` on. MongoDB answers each delete soon, however many there are."""
        last = {"files_id": ObjectId(content_id), "n": {"$gte": first}}
        while found := await self._chunks.find_one(last, {"n": 1}, sort=[("n", DESCENDING)], hint=BY_NUMBER):
            numbers = {"$gte": max(first, found["n"] - DELETE_CHUNKS + 1)}
            await self._chunks.delete_many({"files_id": ObjectId(content_id), "n": numbers}, hint=BY_NUMBER)


def _chunk_documents(
    content_id: RecordId, first: int, chunks: Sequence[bytes], digests: Sequence[bytes]
) -> list[dict[str, Any]]:
    return [
        {"files_id": ObjectId(content_id), "n": n, "data": data, "digest": digest}
        for n, (data, digest) in enumerate(zip(chunks, digests, strict=True), first)
    ]


def _bucket_file(content: Content | WholeContent, seal: Seal) -> dict[str, Any]:
    return {
        "length": seal.length,
        "chunkSize": CHUNK_BYTES,
        "filename": content.filename,
        "metadata": {"contentType": content.content_type, "sha256": seal.sha256, "manifestRoot": seal.manifest_root},
    }
