"""The heartbeats of worker processes: one small document for each process, which MongoDB removes when it is old."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo.write_concern import WriteConcern

from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import NOW
from gridhaul.transfer.model import Queue
from gridhaul.transfer.obstacles import WorkerSign

# A lost heartbeat is written again soon, so no heartbeat makes the server sync its journal.
SOON_WRITTEN_AGAIN = WriteConcern(w=1)


@maps_database_errors
class MongoHeartbeats:
    """The port `transfer.ports.heartbeats.Heartbeats` on MongoDB. `holder` names the process to people.

    The id of the document is random, because hosts in containers may share names and process ids.
    """

    def __init__(self, database: Database, *, holder: str) -> None:
        self._collection = database.get_collection("workers", write_concern=SOON_WRITTEN_AGAIN)
        self._id = ObjectId()
        self._holder = holder

    async def beat(self, queues: frozenset[Queue], missing: str | None) -> None:
        told = {"holder": self._holder, "queues": sorted(queue.value for queue in queues), "missing": missing}
        literals: Document = {name: {"$literal": value} for name, value in told.items()}
        await self._collection.update_one({"_id": self._id}, [{"$set": {**literals, "seen_at": NOW}}], upsert=True)


@maps_database_errors
class MongoWorkerSigns:
    """The port `transfer.ports.heartbeats.WorkerSigns` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._collection = database["workers"]

    async def signs(self) -> Sequence[WorkerSign]:
        alike = {"queues": "$queues", "missing": "$missing"}
        age: Document = {"$divide": [{"$subtract": [NOW, "$seen_at"]}, 1000]}
        cursor = await self._collection.aggregate([{"$group": {"_id": alike, "seconds_ago": {"$min": age}}}])
        return [_sign(document) async for document in cursor]


def _sign(document: Document) -> WorkerSign:
    alike = document["_id"]
    known = frozenset(Queue(name) for name in alike["queues"] if name in set(Queue))
    return WorkerSign(queues=known, seconds_ago=document["seconds_ago"], missing=alike.get("missing"))
