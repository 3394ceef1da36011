"""The unfinished uploads at targets that deliveries have begun, and the records that name them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pymongo import ASCENDING

from gridhaul.storage.connect import Database, Document, maps_database_errors, server_time
from gridhaul.storage.lease import LONGEST_REQUEST_SECONDS
from gridhaul.storage.majority_reads import catch_up
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.checking import BegunUpload
from gridhaul.transfer.ports.targets import UnfinishedUpload

CLOCKS_DIFFER = timedelta(seconds=10)  # an upload's age has whole seconds, and the target took time to tell it
LATEST_AFTER = timedelta(seconds=LONGEST_REQUEST_SECONDS) + CLOCKS_DIFFER  # a lost worker's request may be late


@maps_database_errors
class MongoBegunUploads:
    """The port `transfer.ports.checking.BegunUploads` on MongoDB."""

    def __init__(self, database: Database, *, sweep_seconds: float) -> None:
        self._database = database
        self._deliveries = database["deliveries"]
        self._sweep_seconds = sweep_seconds

    async def next_target(self, *, after: str) -> str | None:
        """Find the name by a look into the index, without a read of all deliveries."""
        beyond = {"target": {"$gt": after}}
        found = await self._deliveries.find_one(beyond, {"target": 1}, sort=[("target", ASCENDING)])
        return None if found is None else str(found["target"])

    async def now(self) -> datetime:
        return await server_time(self._database)

    async def begun(
        self, target: str, uploads: Sequence[UnfinishedUpload], *, asked_at: datetime
    ) -> Sequence[BegunUpload]:
        ages = [(upload, upload.age_seconds) for upload in uploads if upload.age_seconds is not None]
        old = [(upload, asked_at - timedelta(seconds=age)) for upload, age in ages if age >= self._sweep_seconds]
        writers = await self._writers(target, old)
        found = []
        for upload, begun_at in old:
            writer = next((one for one in writers[upload.name] if _has_begun(one, begun_at)), None)
            if writer is not None:
                ids = {"delivery_id": RecordId(str(writer["_id"])), "file_id": RecordId(str(writer["file_id"]))}
                found.append(BegunUpload(upload=upload, **ids))
        return found

    async def may_be_named(self, upload: UnfinishedUpload) -> bool:
        """Look for workers before ids: an id that a worker notes between the two looks is seen by the second."""
        await catch_up(self._deliveries)  # a new primary may not show yet that a record names the upload
        about_to_be = {"stage.upload_id": {"$exists": True, "$eq": None}, "lease_until": {"$exists": True}}
        return await self._is_there({**about_to_be, "final_name": upload.name}) or await self._is_there(
            {"stage.upload_id": upload.upload_id}
        )

    async def _writers(
        self, target: str, begun: Sequence[tuple[UnfinishedUpload, datetime]]
    ) -> Mapping[str, Sequence[Document]]:
        """Return the deliveries that may have begun some of the uploads, by their final names."""
        writers = defaultdict[str, list[Document]](list)
        if begun:
            names, times = {upload.name for upload, _ in begun}, [begun_at for _, begun_at in begun]
            within = {"$gte": min(times) - LATEST_AFTER, "$lte": max(times) + CLOCKS_DIFFER}
            wanted = {"target": target, "final_name": {"$in": sorted(names)}, "uploads_begun": {"$elemMatch": within}}
            fields = {"final_name": 1, "file_id": 1, "uploads_begun": 1}
            async for delivery in self._deliveries.find(wanted, fields):
                writers[delivery["final_name"]].append(delivery)
        return writers

    async def _is_there(self, wanted: Document) -> bool:
        return await self._deliveries.find_one(wanted, {"_id": 1}) is not None


def _has_begun(delivery: Document, begun_at: datetime) -> bool:
    """Return whether a worker was about to begin an upload for the delivery when this one was begun."""
    return any(time - CLOCKS_DIFFER <= begun_at <= time + LATEST_AFTER for time in delivery["uploads_begun"])
