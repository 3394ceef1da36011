"""The facts that were seen of targets, in MongoDB: one small document for each fingerprint of a configuration."""

from datetime import UTC, datetime

from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import NOW
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.model import SeenTarget
from gridhaul.transfer.ports.targets import Facts

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@maps_database_errors
class MongoSeenTargets:
    """The port `transfer.ports.targets.SeenTargets` on MongoDB.

    The target's name is stored only for people who read the collection `targets`.
    """

    def __init__(self, database: Database) -> None:
        self._collection = database["targets"]

    async def find(self, fingerprint: str) -> SeenTarget | None:
        async def read() -> list[Document]:
            age: Document = {"$divide": [{"$subtract": [NOW, "$seen_at"]}, 1000]}
            stages: list[Document] = [{"$match": {"_id": fingerprint}}, {"$project": {"facts": 1, "age": age}}]
            return await (await self._collection.aggregate(stages)).to_list()

        found = await read_with_catch_up(self._collection, read, found=bool)
        return SeenTarget(facts=found[0].get("facts", {}), age_seconds=found[0].get("age") or 0.0) if found else None

    async def note_first(self, fingerprint: str, name: str, facts: Facts) -> Facts:
        kept: Document = {"$ifNull": ["$facts", {"$literal": dict(facts)}]}
        return await self._note(fingerprint, name, kept, {"$ifNull": ["$seen_at", NOW]})

    async def note(self, fingerprint: str, name: str, facts: Facts) -> None:
        await self._note(fingerprint, name, {"$literal": dict(facts)}, NOW)

    async def outdate(self, fingerprint: str) -> None:
        await self._collection.update_one({"_id": fingerprint}, {"$set": {"seen_at": LONG_AGO}})

    async def _note(self, fingerprint: str, name: str, facts: Document, seen_at: Document | str) -> Facts:
        changes = [{"$set": {"name": {"$literal": name}, "facts": facts, "seen_at": seen_at}}]
        document = await self._collection.find_one_and_update(
            {"_id": fingerprint}, changes, upsert=True, return_document=True
        )
        return document["facts"] if document else {}
