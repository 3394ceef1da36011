"""Manifests in MongoDB: pages of 1,024 chunk digests, in a collection apart from the chunks."""

from collections.abc import Collection, Iterator, Sequence

from bson import MaxKey, ObjectId
from pymongo import ASCENDING

from gridhaul.storage.connect import Database, Document, for_threads
from gridhaul.storage.content.inserting import insert_unlike, replace_older
from gridhaul.storage.majority_reads import catch_up_in_thread, find_with_catch_up_in_thread, read_with_catch_up
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.model import RecordId

PAGES_AT_ONCE = 32  # pages in one answer: 1 MiB


class Manifests:
    """Pages, each a document of the form `{_id: {content, page}, digests: 32 bytes a chunk}`.

    A page that was written alone also has the fence of the worker or request that wrote it.
    """

    def __init__(self, database: Database) -> None:
        self._collection = database["manifests"]
        self._in_threads = for_threads(database)["manifests"]

    async def write(self, content_id: RecordId, page: int, digests: bytes, *, fence: int) -> None:
        """Store the page under the fence, in place of what is stored. Raises StaleFence as `replace_older` does."""
        await replace_older(self._collection, {**self._key(content_id, page), "digests": digests}, fence=fence)

    async def insert_whole(self, contents: Sequence[WholeContent]) -> set[RecordId]:
        """Store the only page of each small content. Return the ids under which a page with other digests is stored."""
        documents = [{**self._key(one.id, 0), "digests": b"".join(one.digests)} for one in contents if one.chunks]
        return {RecordId(str(key["content"])) for key in await insert_unlike(self._collection, documents)}

    async def page(self, content_id: RecordId, page: int) -> bytes:
        """Return the digests of the page, 32 bytes a chunk; b"" if the page is missing."""
        key = self._key(content_id, page)
        document = await read_with_catch_up(self._collection, lambda: self._collection.find_one(key), found=bool)
        return bytes(document["digests"]) if document else b""

    def page_in_thread(self, content_id: RecordId, page: int) -> bytes:
        """Return the same as `page`. For threads."""
        document = find_with_catch_up_in_thread(self._in_threads, self._key(content_id, page))
        return bytes(document["digests"]) if document else b""

    def pages_in_thread(self, content_id: RecordId, *, count: int) -> Iterator[bytes]:
        """Yield the pages of a manifest of `count` pages in order; those that are missing are left out. For threads."""
        if self._in_threads.count_documents(self._all(content_id), limit=count) < count:
            catch_up_in_thread(self._in_threads)
        with self._in_threads.find(self._all(content_id), batch_size=PAGES_AT_ONCE).sort("_id", ASCENDING) as found:
            for document in found:
                yield bytes(document["digests"])

    async def delete_all_of_one_page(self, content_ids: Collection[RecordId]) -> None:
        """Delete the manifests of small contents, which have one page each."""
        keys = [self._key(content_id, 0)["_id"] for content_id in content_ids]
        await self._collection.delete_many({"_id": {"$in": keys}})

    async def delete(self, content_id: RecordId) -> None:
        await self._collection.delete_many(self._all(content_id))

    def _all(self, content_id: RecordId) -> Document:
        own = ObjectId(content_id)
        return {"_id": {"$gt": {"content": own}, "$lt": {"content": own, "page": MaxKey()}}}

    def _key(self, content_id: RecordId, page: int) -> Document:
        return {"_id": {"content": ObjectId(content_id), "page": page}}
