"""Repairs of sealed contents that need no bytes from a source.

A method that changes or removes stored chunks looks again first, and changes nothing if the fault has gone.
"""

from bson import ObjectId

from gridhaul.storage.connect import Database, as_bytes, maps_database_errors
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.manifest import Manifests
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt
from gridhaul.transfer.model import Content
from gridhaul.transfer.states import Layout


@maps_database_errors
class MongoMending:
    """The port `transfer.ports.checking.Mending` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._chunks = database["fs.chunks"]
        self._inline = database["inline"]
        self._gridfs = GridFSLayout(database)
        self._manifests = Manifests(database)

    async def set_digest(self, content: Content, n: int, key: object, manifest: bytes, digest: bytes) -> bool:
        if content.layout is Layout.INLINE:
            wrong = {"_id": ObjectId(content.id), "digests": {"$ne": manifest}}
            return bool((await self._inline.update_one(wrong, {"$set": {"digests": manifest}})).modified_count)
        document = await self._chunks.find_one({"_id": key, "n": n})
        if document is None or chunk_digest(as_bytes(document.get("data"))) != digest:
            return False
        changed = await self._chunks.update_one({"_id": key, "n": n}, {"$set": {"digest": digest}})
        return bool(changed.modified_count)

    async def drop_doubles(self, content: Content, n: int, keep: object, digest: bytes) -> bool:
        same = {"files_id": ObjectId(content.id), "n": n}
        held = [document async for document in self._chunks.find(same)]
        right = [found["_id"] for found in held if chunk_digest(as_bytes(found.get("data"))) == digest]
        if not held:  # the content was deleted in the meantime
            return False
        if not right:  # a chunk that is wrong here may be the last copy of another chunk
            raise ChunkCorrupt("None of the chunks is what the manifest says, so none is removed.")
        others = {**same, "_id": {"$ne": keep if keep in right else right[0]}}
        return bool((await self._chunks.delete_many(others)).deleted_count)

    async def drop_stray(self, content: Content, n: int) -> bool:
        if 0 <= n < content.chunk_count:
            return False
        if content.layout is Layout.INLINE:
            key = {"_id": ObjectId(content.id), f"chunks.{content.chunk_count}": {"$exists": True}}
            cut = [{"$set": {"chunks": {"$slice": ["$chunks", content.chunk_count]}}}]
            return bool((await self._inline.update_one(key, cut)).modified_count)
        return bool((await self._chunks.delete_many({"files_id": ObjectId(content.id), "n": n})).deleted_count)

    async def write_manifest(self, content: Content, page: int, digests: bytes) -> bool:
        await self._manifests.write(content.id, page, digests, fence=content.fence)
        return True

    async def publish(self, content: Content) -> bool:
        await self._gridfs.publish(content, content.seal)
        return True
