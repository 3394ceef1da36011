"""The unfinished uploads at targets that deliveries have begun, and that no record names."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING

from gridhaul.storage.connect import Database, Document, maps_database_errors, server_time
from gridhaul.storage.majority_reads import catch_up
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.checking import OrphanedUpload
from gridhaul.transfer.ports.targets import UnfinishedUpload
from gridhaul.transfer.states import OVER

WHOLE_SECONDS = timedelta(seconds=2)  # both times that give an upload's age may be cut to whole seconds


@maps_database_errors
class MongoBegunUploads:
    """The port `transfer.ports.checking.BegunUploads` on MongoDB."""

    def __init__(self, database: Database, *, sweep_seconds: float) -> None:
        self._database = database
        self._deliveries = database["deliveries"]
        self._sweep = timedelta(seconds=sweep_seconds)

    async def next_target(self, *, after: str) -> str | None:
        """Find the name by a look into the index, without a read of all deliveries."""
        beyond = {"target": {"$gt": after}}
        found = await self._deliveries.find_one(beyond, {"target": 1}, sort=[("target", ASCENDING)])
        return None if found is None else str(found["target"])

    async def orphaned(self, target: str, uploads: Sequence[UnfinishedUpload]) -> Sequence[OrphanedUpload]:
        now = await server_time(self._database)
        await catch_up(self._deliveries)  # a new primary may not show yet that a record names an upload
        named = await self._named(uploads)
        orphaned = []
        for upload in uploads:
            age = None if upload.age_seconds is None else timedelta(seconds=upload.age_seconds)
            if age is None or age < self._sweep or upload.upload_id in named:
                continue
            writer = await self._writer(target, upload.name, begun_at=now - age)
            if writer is not None and not await self._is_about_to_be_named(target, upload.name):
                ids = {"delivery_id": RecordId(str(writer["_id"])), "file_id": RecordId(str(writer["file_id"]))}
                orphaned.append(OrphanedUpload(upload=upload, **ids))
        return orphaned

    async def _named(self, uploads: Sequence[UnfinishedUpload]) -> set[str]:
        """Return the ids of the uploads that stages of deliveries name, to whatever target: two may be one bucket."""
        ids = [upload.upload_id for upload in uploads]
        stages = self._deliveries.find({"stage.upload_id": {"$in": ids}}, {"stage.upload_id": 1})
        return {document["stage"]["upload_id"] async for document in stages}

    async def _writer(self, target: str, name: str, *, begun_at: datetime) -> Document | None:
        """Return the ids of a delivery that was not over when the upload was begun, and wrote to its name.

        A lost worker's request may begin the upload a little later.
        """
        earliest_end = begun_at - self._sweep - WHOLE_SECONDS
        lived_long_enough = [{"state": {"$nin": sorted(OVER)}}, {"ended_at": {"$gte": earliest_end}}]
        return await self._deliveries.find_one(
            {
                "target": target,
                "final_name": name,
                "created_at": {"$lte": begun_at + WHOLE_SECONDS},
                "$or": lived_long_enough,
            },
            {"file_id": 1},
        )

    async def _is_about_to_be_named(self, target: str, name: str) -> bool:
        """Return whether a worker may have begun an upload under the name, and not have noted its id yet."""
        beginning = {"lease_until": {"$exists": True}, "stage.upload_id": None}
        wanted = {"target": target, "final_name": name, **beginning}
        return await self._deliveries.find_one(wanted, {"_id": 1}) is not None
