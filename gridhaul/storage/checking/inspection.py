"""Sealed contents with their chunks and manifests, right or damaged, as checks read them. Nothing here changes them."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo import ASCENDING

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, as_bytes, maps_database_errors
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.majority_reads import catch_up
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, page_chunk_count
from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.judgement import StoredChunk
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import ContentState, Layout

STRAYS_NAMED_AT_MOST = 1000


@maps_database_errors
class MongoInspection:
    """The port `transfer.ports.checking.Inspection` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._contents = database["contents"]
        self._chunks = database["fs.chunks"]
        self._inline = database["inline"]
        self._gridfs = GridFSLayout(database)
        self._manifests = Manifests(database)
        self._codec = Codec(Content)

    async def catch_up(self) -> None:
        await catch_up(self._contents)

    async def next_sealed(self, *, after: str) -> Content | None:
        wanted: Document = {"state": ContentState.SEALED.value}
        if after:
            wanted["_id"] = {"$gt": ObjectId(after)}
        document = await self._contents.find_one(wanted, sort=[("_id", ASCENDING)])
        return self._codec.decode(document) if document else None

    async def sealed(self, content_id: RecordId) -> Content | None:
        document = await self._contents.find_one({"_id": ObjectId(content_id), "state": ContentState.SEALED.value})
        return self._codec.decode(document) if document else None

    async def totals(self, only: RecordId | None) -> tuple[int, int]:
        wanted: Document = {"state": ContentState.SEALED.value}
        if only is not None:
            wanted["_id"] = ObjectId(only)
        summed = {"$group": {"_id": None, "contents": {"$sum": 1}, "bytes": {"$sum": "$length"}}}
        async for total in await self._contents.aggregate([{"$match": wanted}, summed]):
            return total["contents"], total["bytes"]
        return 0, 0

    async def chunks(self, content: Content, first: int, count: int) -> Sequence[StoredChunk]:
        if content.layout is Layout.INLINE:
            return [chunk for chunk in await self._inline_chunks(content) if first <= chunk.n < first + count]
        wanted = {"files_id": ObjectId(content.id), "n": {"$gte": first, "$lt": first + count}}
        cursor = self._chunks.find(wanted).sort("n", ASCENDING)
        return [
            StoredChunk(
                key=document["_id"],
                n=document["n"],
                data=as_bytes(document.get("data")),
                digest=as_bytes(document.get("digest")),
            )
            async for document in cursor
        ]

    async def strays(self, content: Content) -> Sequence[int]:
        if content.layout is Layout.INLINE:
            return [chunk.n for chunk in await self._inline_chunks(content) if chunk.n >= content.chunk_count]
        outside = {"$not": {"$gte": 0, "$lt": content.chunk_count}}
        wanted = {"files_id": ObjectId(content.id), "n": outside}
        cursor = self._chunks.find(wanted, {"_id": 0, "n": 1}).limit(STRAYS_NAMED_AT_MOST)
        return sorted({document["n"] async for document in cursor})

    async def manifest_page(self, content: Content, page: int) -> bytes:
        return await self._manifests.page(content.id, page)

    async def digest_page(self, content: Content, page: int) -> bytes:
        """Read the digests of a GridFS content from an index alone, without a read of any chunk."""
        first = page * MANIFEST_PAGE_CHUNKS
        count = page_chunk_count(content.length, page)
        if content.layout is Layout.INLINE:
            document = await self._inline.find_one({"_id": ObjectId(content.id)}, {"digests": 1}) or {}
            return as_bytes(document.get("digests"))[: count * DIGEST_BYTES]
        held = await self._gridfs.digests(content.id, first, count)
        if [n for n, _ in held] != list(range(first, first + count)):
            return b""
        return b"".join(digest for _, digest in held)

    async def is_published(self, content: Content) -> bool:
        return await self._gridfs.is_published(content)

    async def _inline_chunks(self, content: Content) -> list[StoredChunk]:
        document = await self._inline.find_one({"_id": ObjectId(content.id)})
        if document is None:
            return []
        digests = as_bytes(document.get("digests"))
        return [
            StoredChunk(
                key=None,
                n=n,
                data=as_bytes(data),
                digest=digests[n * DIGEST_BYTES : (n + 1) * DIGEST_BYTES],
            )
            for n, data in enumerate(document.get("chunks") or [])
        ]
