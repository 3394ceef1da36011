"""Manifests in MongoDB: pages of 1,024 chunk digests, apart from the chunks whose digests they are."""

from bson import ObjectId

from gridhaul.storage.connect import Database, Document
from gridhaul.transfer.model import RecordId


class Manifests:
    """A page is `{_id: {content, page}, digests: 32 bytes a chunk}`."""

    def __init__(self, database: Database) -> None:
        self._collection = database["manifests"]

    async def write(self, content_id: RecordId, page: int, digests: bytes) -> None:
        await self._collection.replace_one(self._key(content_id, page), {"digests": digests}, upsert=True)

    async def page(self, content_id: RecordId, page: int) -> bytes:
        """The digests of the page, or b"" if it is missing."""
        document = await self._collection.find_one(self._key(content_id, page))
        return bytes(document["digests"]) if document else b""

    async def delete(self, content_id: RecordId, pages: int) -> None:
        keys = [self._key(content_id, page)["_id"] for page in range(pages)]
        await self._collection.delete_many({"_id": {"$in": keys}})

    def _key(self, content_id: RecordId, page: int) -> Document:
        return {"_id": {"content": ObjectId(content_id), "page": page}}
