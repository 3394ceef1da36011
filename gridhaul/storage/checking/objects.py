"""The objects that deliveries say are at their targets, and those that they left, for checks that ask the targets."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo import ASCENDING

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.history import WITHOUT_HISTORY, change_noted
from gridhaul.storage.lease import GONE, NOW, after
from gridhaul.storage.majority_reads import catch_up
from gridhaul.storage.names_at_targets import is_held, is_replaced, why_not_ours
from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.model import Delivery, Failure, RecordId
from gridhaul.transfer.ports.checking import Folder
from gridhaul.transfer.states import OVER, DeliveryState

TO_BE_CLEANED: Document = {"next_attempt_at": {"$exists": True}, "lease_until": {"$exists": False}}


@maps_database_errors
class MongoObjects:
    """The port `transfer.ports.checking.DeliveredObjects` on MongoDB."""

    def __init__(self, database: Database, *, sweep_seconds: float) -> None:
        self._deliveries = database["deliveries"]
        self._codec = Codec(Delivery)
        self._long_ago = after(-sweep_seconds)

    async def delivered(self, *, after: str, of_file: RecordId | None, limit: int) -> Sequence[Delivery]:
        wanted: Document = {"state": DeliveryState.DELIVERED.value}
        if of_file is not None:
            wanted["file_id"] = ObjectId(of_file)
        if after:
            wanted["_id"] = {"$gt": ObjectId(after)}
        cursor = self._deliveries.find(wanted, WITHOUT_HISTORY).sort("_id", 1).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def is_superseded(self, delivery: Delivery) -> bool:
        return await is_held(self._deliveries, delivery) or await is_replaced(self._deliveries, delivery)

    async def why_not_ours(self, delivery: Delivery) -> SkipReason | None:
        return await why_not_ours(self._deliveries, delivery)

    async def note_object(self, delivery: Delivery, error: Failure | None) -> bool:
        unchanged = {
            "_id": ObjectId(delivery.id),
            "state": DeliveryState.DELIVERED.value,
            "fence": delivery.fence,
        }
        found = self._codec.literals({"object_error": error}) if error else {"object_error": GONE}
        return bool((await self._deliveries.update_one(unchanged, _noted(found))).matched_count)

    async def next_not_cleaned(self, *, after: str, of_file: RecordId | None) -> Delivery | None:
        wanted: Document = {"cleaning_error": {"$exists": True}}
        if of_file is not None:
            wanted["file_id"] = ObjectId(of_file)
        if after:
            wanted["_id"] = {"$gt": ObjectId(after)}
        document = await self._deliveries.find_one(wanted, sort=[("_id", ASCENDING)])
        return self._codec.decode(document) if document else None

    async def make_cleaning_due(self, delivery_id: RecordId) -> None:
        # Only the first cleaning must wait until no request of a lost worker can have an effect any more.
        failed = {"_id": ObjectId(delivery_id), "cleaning_error": {"$exists": True}, **TO_BE_CLEANED}
        await self._deliveries.update_one(failed, [{"$set": {"next_attempt_at": NOW}}])

    async def forget_cleaning_error(self, delivery: Delivery) -> bool:
        given_up = {"_id": ObjectId(delivery.id), "fence": delivery.fence, "next_attempt_at": {"$exists": False}}
        forgotten = await self._deliveries.update_one(given_up, _noted({"cleaning_error": GONE}))
        return bool(forgotten.modified_count)

    async def next_folder(self, after: Folder | None, of_file: RecordId | None) -> Folder | None:
        """Find the folder by a look into the index, without a read of all deliveries."""
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
        await catch_up(self._deliveries)  # a new primary may not show yet that the delivery was queued again
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


def _noted(found: Document) -> list[Document]:
    """Return the write of an error that a check found, or found gone. A changed error is an event of the history."""
    return [{"$set": {**found, **change_noted({"state": "$state", **found}, None)}}]
