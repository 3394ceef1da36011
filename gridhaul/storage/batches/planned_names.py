"""The names that batches would give, in MongoDB, as long as the batches are planned."""

from collections.abc import Mapping

from bson import ObjectId

from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.content.inserting import doubles
from gridhaul.transfer.model import RecordId


@maps_database_errors
class MongoPlannedNames:
    """The port `transfer.ports.batches.PlannedNames` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._collection = database["planned_names"]

    async def add(self, batch_id: RecordId, names: Mapping[str, str]) -> frozenset[str]:
        if not names:
            return frozenset()
        own = ObjectId(batch_id)
        documents: list[Document] = [{"batch_id": own, "name": name, "path": path} for path, name in names.items()]
        refused = [documents[at] for at in await doubles(self._collection.insert_many(documents, ordered=False))]
        wanted = {"batch_id": own, "name": {"$in": [one["name"] for one in refused]}}
        held = {one["name"]: one["path"] async for one in self._collection.find(wanted)}
        return frozenset(one["path"] for one in refused if held.get(one["name"]) != one["path"])

    async def forget(self, batch_id: RecordId) -> None:
        await self._collection.delete_many({"batch_id": ObjectId(batch_id)})
