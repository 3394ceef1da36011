"""Looks in MongoDB for what was delivered before, by the paths of the sources."""

from collections.abc import Mapping, Sequence
from operator import itemgetter

from bson import ObjectId

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.schema import DELIVERED
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import SourceIdentity

BY_SOURCE = [("owner", 1), ("target", 1), ("source_path", 1)]  # the keys of the index


@maps_database_errors
class MongoFormerDeliveries:
    """The port `transfer.ports.batches.FormerDeliveries` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._files = database["files"]
        self._deliveries = database["deliveries"]
        self._codec = Codec(File)

    async def sources(self, owner: str, target: str, names: Mapping[str, str]) -> Mapping[str, SourceIdentity]:
        wanted = {"owner": owner, "target": target, "source_path": {"$in": [*names]}, **DELIVERED}
        fields = {"source_path": 1, "object_name": 1, "file_id": 1, "object_error": 1, "ended_at": 1}
        newest: dict[str, Document] = {}
        async for one in self._deliveries.find(wanted, fields):
            path = one["source_path"]
            if names[path] == one["object_name"]:
                newest[path] = max(newest.get(path, one), one, key=itemgetter("ended_at"))
        made_from = {path: one["file_id"] for path, one in newest.items() if one.get("object_error") is None}
        identities = await self._identities([*made_from.values()])
        return {path: identities[file_id] for path, file_id in made_from.items() if file_id in identities}

    async def paths(self, owner: str, target: str, *, beneath: str, after: str, limit: int) -> Sequence[str]:
        # `0` is the character after `/`.
        within: Document = {"$gt": max(after, f"{beneath}/"), "$lt": f"{beneath}0"}
        wanted: Document = {"owner": owner, "target": target, "source_path": within, **DELIVERED}
        cursor = self._deliveries.find(wanted, {"_id": 0, "source_path": 1}).sort(BY_SOURCE).limit(limit)
        return [one["source_path"] async for one in cursor]

    async def _identities(self, file_ids: Sequence[ObjectId]) -> Mapping[ObjectId, SourceIdentity]:
        wanted = {"_id": {"$in": [*file_ids]}}
        return {
            one["_id"]: self._codec.decode(one).source.identity
            async for one in self._files.find(wanted, {"history": 0})
        }
