"""Open tails: the last bytes of an upload that do not fill a chunk yet, in one document for each content."""

from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.storage.content.inserting import replace_older
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt
from gridhaul.transfer.model import RecordId, Tail


class Tails:
    """Documents of the form `{_id: content id, n: number of the chunk, data, digest, fence}`."""

    def __init__(self, database: Database) -> None:
        self._collection = database["tails"]

    async def put(self, content_id: RecordId, *, fence: int, n: int, data: bytes, digest: bytes) -> None:
        """Store the tail in place of the one before. Raises StaleFence if a higher fence has stored one."""
        tail = {"_id": ObjectId(content_id), "n": n, "data": data, "digest": digest}
        await replace_older(self._collection, tail, fence=fence)

    async def get(self, content_id: RecordId) -> Tail | None:
        """Return the tail, or None. Raises ChunkCorrupt."""
        wanted = {"_id": ObjectId(content_id)}
        document = await read_with_catch_up(self._collection, lambda: self._collection.find_one(wanted), found=bool)
        if document is None:
            return None
        data = bytes(document["data"])
        if chunk_digest(data) != bytes(document["digest"]):
            raise ChunkCorrupt(f"The open tail of content {content_id} is not what was stored.")
        return Tail(n=document["n"], data=data)

    async def delete(self, content_id: RecordId) -> None:
        await self._collection.delete_one({"_id": ObjectId(content_id)})
