"""What deliveries say is at the targets, for checks that ask the targets."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo import ASCENDING

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import after
from gridhaul.storage.majority_reads import catch_up
from gridhaul.transfer.model import Delivery, RecordId
from gridhaul.transfer.ports.checking import Folder
from gridhaul.transfer.states import OVER, DeliveryState


@maps_database_errors
class MongoObjects:
    def __init__(self, database: Database, *, sweep_seconds: float) -> None:
        self._deliveries = database["deliveries"]
        self._codec = Codec(Delivery)
        self._long_ago = after(-sweep_seconds)

    async def delivered(self, *, after: str, of_file: RecordId | None, limit: int) -> Sequence[Delivery]:
        """The next deliveries that are done."""
        wanted: Document = {"state": DeliveryState.DELIVERED.value}
        if of_file is not None:
            wanted["file_id"] = ObjectId(of_file)
        if after:
            wanted["_id"] = {"$gt": ObjectId(after)}
        cursor = self._deliveries.find(wanted).sort("_id", 1).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def is_superseded(self, delivery: Delivery) -> bool:
        """Whether another delivery has written under the name since, or may be doing so."""
        same_name = {
            "target": delivery.target,
            "final_name": delivery.final_name,
            "_id": {"$ne": ObjectId(delivery.id)},
        }
        later = {"state": DeliveryState.DELIVERED.value, "ended_at": {"$gte": delivery.ended_at}}
        writing = {"claimed": {"$exists": True}}
        return await self._deliveries.find_one({**same_name, "$or": [later, writing]}, {"_id": 1}) is not None

    async def next_folder(self, after: Folder | None, of_file: RecordId | None) -> Folder | None:
        """The next target and folder, in their order, that a delivery ever held a name in: a look into the index."""
        beyond: list[Document] = [{"folder": {"$type": "string"}}]
        if after is not None:
            target, folder = after
            beyond = [{"target": target, "folder": {"$gt": folder}}, {"target": {"$gt": target}, **beyond[0]}]
        scope = {} if of_file is None else {"file_id": ObjectId(of_file)}
        in_order = [("target", ASCENDING), ("folder", ASCENDING)]
        for wanted in beyond:
            found = await self._deliveries.find_one({**scope, **wanted}, {"target": 1, "folder": 1}, sort=in_order)
            if found is not None:
                return found["target"], found["folder"]
        return None

    async def over_long_ago(self, delivery_id: RecordId) -> Delivery | None:
        """The delivery, if it ended long ago, nobody works on it, and nothing of it waits to be cleaned up."""
        await catch_up(self._deliveries)  # what a new primary does not show yet may be that it goes on
        document = await self._deliveries.find_one(
            {
                "_id": ObjectId(delivery_id),
                "state": {"$in": sorted(OVER)},
                "lease_until": {"$exists": False},
                "leftovers.0": {"$exists": False},
                "$expr": {"$lte": [{"$ifNull": ["$ended_at", "$updated_at"]}, self._long_ago]},
            }
        )
        return self._codec.decode(document) if document else None
