"""The paths that batches skipped, in MongoDB."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bson import ObjectId

from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.content.inserting import doubles
from gridhaul.storage.schema import SKIPPED_BY_REASON
from gridhaul.transfer.batches import Skipped
from gridhaul.transfer.errors import NotFound
from gridhaul.transfer.model import RecordId


@maps_database_errors
class MongoSkippedPaths:
    """The port `transfer.ports.batches.SkippedPaths` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._collection = database["skipped"]

    async def add(self, batch_id: RecordId, skipped: Sequence[Skipped]) -> None:
        own = {"batch_id": ObjectId(batch_id)}
        documents = [{"_id": ObjectId(one.id_in(batch_id)), **own, **asdict(one)} for one in skipped]
        await doubles(self._collection.insert_many(documents, ordered=False))

    async def page(self, batch_id: RecordId, *, limit: int, after: RecordId | None) -> Sequence[Skipped]:
        wanted: Document = {"batch_id": ObjectId(batch_id)}
        if after is not None:
            last = await self._collection.find_one({"_id": ObjectId(after), **wanted})
            if last is None:
                raise NotFound("There is no such page.")
            wanted["path"] = {"$gt": last["path"]}
        cursor = self._collection.find(wanted).sort("path", 1).limit(limit)
        return [Skipped(path=one["path"], reason=one["reason"], detail=one["detail"]) async for one in cursor]

    async def forget(self, batch_id: RecordId) -> None:
        await self._collection.delete_many({"batch_id": ObjectId(batch_id)})

    async def counts(self, batch_id: RecordId) -> Mapping[str, int]:
        grouped: list[dict[str, Any]] = [
            {"$match": {"batch_id": ObjectId(batch_id)}},
            {"$group": {"_id": "$reason", "count": {"$sum": 1}}},
        ]
        groups = await self._collection.aggregate(grouped, hint=dict.fromkeys(SKIPPED_BY_REASON, 1))
        return {one["_id"]: one["count"] async for one in groups}
