"""The heartbeats of worker processes in MongoDB: one small document for each process, which a TTL index removes."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo.write_concern import WriteConcern

from gridhaul import __version__
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import NOW
from gridhaul.transfer.model import Queue
from gridhaul.transfer.worker_health import SILENT_SECONDS, HeartbeatGroup

# No heartbeat waits for the journal: if a heartbeat is lost, the next one follows within seconds.
UNJOURNALED = WriteConcern(w=1)


@maps_database_errors
class MongoHeartbeats:
    """The port `transfer.ports.heartbeats.Heartbeats` on MongoDB.

    The id of the document is random, because containers on several hosts may have the same host names and process ids.
    `worker` is a random name that all processes of the worker share. `holder` is the host name and the process id, with
    a colon between them; lookups need only the host name.
    """

    def __init__(self, database: Database, *, holder: str, worker: str) -> None:
        self._collection = database.get_collection("workers", write_concern=UNJOURNALED)
        self._id = ObjectId()
        self._holder = holder
        self._worker = worker

    async def beat(self, queues: frozenset[Queue], storing_error: str | None, *, passed_over: int) -> None:
        values = {
            "holder": self._holder,
            "worker": self._worker,
            "version": __version__,
            "queues": sorted(queue.value for queue in queues),
            "storing_error": storing_error,
            "passed_over": passed_over,
        }
        literals: Document = {name: {"$literal": value} for name, value in values.items()}
        await self._collection.update_one({"_id": self._id}, [{"$set": {**literals, "seen_at": NOW}}], upsert=True)


@maps_database_errors
class MongoHeartbeatLookup:
    """The port `transfer.ports.heartbeats.HeartbeatLookup` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._collection = database["workers"]

    async def groups(self) -> Sequence[HeartbeatGroup]:
        shared = {"worker": "$worker", "queues": "$queues", "storing_error": "$storing_error"}
        age: Document = {"$divide": [{"$subtract": [NOW, "$seen_at"]}, 1000]}
        group: Document = {
            "_id": shared,
            "holder": {"$first": "$holder"},  # all processes of a worker have the same host and version
            "version": {"$first": "$version"},
            "seen_at": {"$max": "$seen_at"},
            "seconds_ago": {"$min": age},
            "living": {"$sum": {"$cond": [{"$lte": [age, SILENT_SECONDS]}, 1, 0]}},
            "passed_over": {"$max": "$passed_over"},
        }
        cursor = await self._collection.aggregate([{"$group": group}])
        return [_group(document) async for document in cursor]


def _group(document: Document) -> HeartbeatGroup:
    shared = document["_id"]
    # A worker of a newer version may serve queues that this version does not know.
    known = frozenset(Queue(name) for name in shared["queues"] if name in set(Queue))
    return HeartbeatGroup(
        worker=shared.get("worker"),
        host=document["holder"].rpartition(":")[0],
        version=document["version"],
        queues=known,
        living=document["living"],
        seen_at=document["seen_at"],
        seconds_ago=document["seconds_ago"],
        storing_error=shared.get("storing_error"),
        passed_over=document["passed_over"] or 0,  # a worker of an older version does not count
    )
