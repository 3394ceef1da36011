"""The layout of small contents: one document with all chunks, in the collection `inline`, inserted in one write."""

from collections.abc import Collection, Generator, Sequence
from contextlib import suppress

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.connect import Database, Document, as_bytes, for_threads
from gridhaul.storage.content.inserting import insert_unlike, replace_older
from gridhaul.storage.content.verified_stream import NumberedChunk
from gridhaul.storage.majority_reads import find_with_catch_up_in_thread
from gridhaul.storage.value_per_record import ids_of
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.errors import ChunkConflict
from gridhaul.transfer.model import Content, RecordId


class InlineLayout:
    """Documents of the form `{_id: content id, digests: 32 bytes a chunk, chunks: [bytes]}`.

    The document of an upload that arrived piece by piece also has the fence of the request that sealed it.
    """

    def __init__(self, database: Database) -> None:
        self._collection = database["inline"]
        self._in_threads = for_threads(database)["inline"]

    async def insert(self, content_id: RecordId, chunks: Sequence[bytes], digests: Sequence[bytes]) -> bool:
        """Store all chunks. Return whether they are new. Raises ChunkConflict if other bytes are stored."""
        try:
            await self._collection.insert_one(_document(content_id, chunks, digests))
        except DuplicateKeyError:
            self.require_same(await self.digests(content_id), 0, digests)
            return False
        return True

    async def replace(
        self, content_id: RecordId, chunks: Sequence[bytes], digests: Sequence[bytes], *, fence: int
    ) -> None:
        """Store all chunks under the fence, in place of what is stored. Raises StaleFence as `replace_older` does."""
        await replace_older(self._collection, _document(content_id, chunks, digests), fence=fence)

    async def insert_whole(self, contents: Sequence[WholeContent]) -> set[RecordId]:
        """Store all chunks of each content. Return the ids under which other bytes are stored."""
        documents = [_document(one.id, one.chunks, one.digests) for one in contents if one.chunks]
        return {RecordId(str(key)) for key in await insert_unlike(self._collection, documents)}

    def require_same(self, held: bytes, first: int, digests: Sequence[bytes]) -> None:
        """Raise ChunkConflict, which names the chunk, unless `held` has these digests from chunk `first` on.

        `held` has 32 bytes for each stored chunk, from chunk 0 on.
        """
        for offset, digest in enumerate(digests):
            start = (first + offset) * DIGEST_BYTES
            if held[start : start + DIGEST_BYTES] != digest:
                raise ChunkConflict(f"Chunk {first + offset} is stored with other bytes.")

    async def digests(self, content_id: RecordId) -> bytes:
        """Return the digests of all chunks, 32 bytes a chunk; b"" if no document is stored."""
        document = await self._collection.find_one({"_id": ObjectId(content_id)}, {"digests": 1})
        return bytes(document["digests"]) if document else b""

    def digests_in_thread(self, content_id: RecordId, page: int) -> bytes:
        """Return the digests of page 0, the only one, as the chunks have them. For threads."""
        document = find_with_catch_up_in_thread(self._in_threads, {"_id": ObjectId(content_id)}, {"digests": 1})
        return bytes(document["digests"]) if document else b""

    def batches(self, content: Content) -> Generator[list[NumberedChunk]]:
        """Yield all chunks at once, numbered from 0; yield none if no document is stored. For threads."""
        document = find_with_catch_up_in_thread(self._in_threads, {"_id": ObjectId(content.id)}, {"chunks": True})
        if document is not None:
            yield [(n, as_bytes(data)) for n, data in enumerate(document["chunks"])]

    def chunk_by_chunk(self, content: Content, numbers: range) -> Generator[list[NumberedChunk]]:
        """Yield the chunks of these numbers, one in a batch; those that are missing are left out. For threads."""
        for n in numbers:
            only = {"digests": False, "chunks": {"$slice": [n, 1]}}
            document = find_with_catch_up_in_thread(self._in_threads, {"_id": ObjectId(content.id)}, only)
            if document is not None and document["chunks"]:
                yield [(n, as_bytes(document["chunks"][0]))]

    async def restore(self, content_id: RecordId, n: int, data: bytes, manifest: bytes) -> bool:
        """Store the right data of chunk `n` and the manifest's digests in one write. Return whether any was wrong."""
        key = {"_id": ObjectId(content_id)}
        alone = {"digests": manifest, "chunks": [*([b""] * n), data]}
        while True:
            held = await self._collection.find_one(key)
            if held is None:
                with suppress(DuplicateKeyError):  # another request stored the document just now: look again
                    await self._collection.insert_one({**key, **alone})
                    return True
                continue
            chunks = held.get("chunks")
            if isinstance(chunks, list) and chunks[n : n + 1] == [data] and held.get("digests") == manifest:
                return False
            # Set only this chunk: an update that compared all old chunks and set all new ones would not fit into a
            # command (16 MiB). MongoDB fills a gap before the chunk with null.
            changed = {"digests": manifest, f"chunks.{n}": data} if isinstance(chunks, list) else alone
            if (await self._collection.update_one(key, {"$set": changed})).matched_count:
                return True

    async def delete(self, content_id: RecordId) -> None:
        await self._collection.delete_one({"_id": ObjectId(content_id)})

    async def delete_all(self, content_ids: Collection[RecordId]) -> None:
        await self._collection.delete_many(ids_of(content_ids))


def _document(content_id: RecordId, chunks: Sequence[bytes], digests: Sequence[bytes]) -> Document:
    return {"_id": ObjectId(content_id), "digests": b"".join(digests), "chunks": list(chunks)}
