"""Lists and manifests in MongoDB, in pages. An index removes what no batch uses."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo import DESCENDING

from gridhaul.storage.codec import Codec, new_id
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW, after
from gridhaul.transfer.batches import AT_ITS_END
from gridhaul.transfer.lists import ListPage, NewList, PathList
from gridhaul.transfer.model import RecordId

KEPT_SECONDS = 86400.0


@maps_database_errors
class MongoLists:
    """The ports `ListIntake` and `UsedLists` of `transfer.ports.lists` on MongoDB."""

    def __init__(self, database: Database, *, kept_seconds: float = KEPT_SECONDS) -> None:
        self._lists = database["lists"]
        self._pages = database["list_pages"]
        self._batches = database["batches"]
        self._codec = Codec(PathList)
        self._expires: Document = {"expires_at": after(kept_seconds)}

    def new_id(self) -> RecordId:
        return new_id()

    async def add_page(self, list_id: RecordId, number: int, page: ListPage) -> None:
        values: Document = {"first_line": page.first_line, "text": {"$literal": page.text}}
        key = {"list_id": ObjectId(list_id), "number": number}
        await self._pages.update_one(key, [{"$set": values | self._expires}], upsert=True)

    async def register(self, list_id: RecordId, new: NewList) -> PathList:
        await self._pages.update_many({"list_id": ObjectId(list_id)}, [{"$set": self._expires}])
        values = self._codec.literals({name: getattr(new, name) for name in NewList.__slots__})
        made = [{"$set": {**values, "created_at": NOW, **self._expires}}]
        await self._lists.update_one({"_id": ObjectId(list_id)}, made, upsert=True)
        return await self._require(list_id)

    async def get(self, list_id: RecordId) -> PathList | None:
        document = await self._lists.find_one({"_id": ObjectId(list_id)})
        return self._codec.decode(document) if document else None

    async def count_unused(self, owner: str, *, limit: int) -> int:
        unused = {"owner": owner, "expires_at": {"$exists": True}}
        return await self._lists.count_documents(unused, limit=limit)

    async def newest(self, *, owner: str | None, limit: int, before: RecordId | None) -> Sequence[PathList]:
        wanted: Document = {} if owner is None else {"owner": owner}
        if before is not None:
            wanted["_id"] = {"$lt": ObjectId(before)}
        cursor = self._lists.find(wanted).sort("_id", DESCENDING).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def forget(self, list_id: RecordId) -> None:
        await self._lists.delete_one({"_id": ObjectId(list_id)})
        await self._pages.delete_many({"list_id": ObjectId(list_id)})

    async def forget_unused(self, list_id: RecordId) -> bool:
        unused = {"_id": ObjectId(list_id), "expires_at": {"$exists": True}}
        removed = await self._lists.delete_one(unused)
        if removed.deleted_count:
            await self.forget(list_id)
        return bool(removed.deleted_count)

    async def keep(self, list_id: RecordId) -> PathList | None:
        stays = [{"$set": {"expires_at": GONE}}]
        kept = await self._lists.update_one({"_id": ObjectId(list_id)}, stays)
        if not kept.matched_count:
            return None  # its pages still go away
        own = {"list_id": ObjectId(list_id)}
        await self._pages.update_many({**own, "expires_at": {"$exists": True}}, stays)
        found = await self.get(list_id)
        whole = found is not None and await self._pages.count_documents(own) == found.pages
        return found if whole else None

    async def page(self, list_id: RecordId, number: int) -> ListPage | None:
        document = await self._pages.find_one({"list_id": ObjectId(list_id), "number": number})
        return ListPage(first_line=document["first_line"], text=document["text"]) if document else None

    async def release(self, list_id: RecordId, batch_id: RecordId) -> None:
        others = {"list_id": ObjectId(list_id), "_id": {"$ne": ObjectId(batch_id)}}
        users = {**others, "state": {"$nin": sorted(AT_ITS_END)}}
        if await self._batches.find_one(users, {"_id": 1}) is None:
            await self.forget(list_id)

    async def _require(self, list_id: RecordId) -> PathList:
        found = await self.get(list_id)
        assert found is not None, "the list was made just now"  # noqa: S101
        return found
