"""Checks in MongoDB: leased records like files and deliveries, one open at a time of those that are the same."""

from collections.abc import Sequence
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW, LeasedCollection
from gridhaul.transfer.checks import RUNNABLE, Check, CheckKind, CheckState, NewCheck
from gridhaul.transfer.model import Lease, Queue, RecordId


@maps_database_errors
class MongoChecks(LeasedCollection[Check, CheckState]):
    """`transfer.ports.leasing.LeasedRecords`. The field `open_key` is the claim of an open check, unique while it exists."""

    waiting: ClassVar[frozenset[CheckState]] = frozenset()  # no move leads back to work

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["checks"], Codec(Check), lease_seconds=lease_seconds)

    async def open(self, new: NewCheck) -> tuple[Check, bool]:
        """The check and whether it was queued now: while the same one is open there is no second."""
        while True:
            try:
                return await self._queue(new), True
            except DuplicateKeyError:
                document = await self._collection.find_one({"open_key": new.key})
            if document is not None:  # else it ended just now
                return self._codec.decode(document), False

    async def page(self, *, limit: int, before: RecordId | None) -> Sequence[Check]:
        """Checks without their findings, newest first, older than `before`."""
        wanted: Document = {} if before is None else {"_id": {"$lt": ObjectId(before)}}
        cursor = self._collection.find(wanted, {"findings": 0}).sort("_id", DESCENDING).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def forget(self, kind: CheckKind, *, keep: int) -> None:
        """Remove the records of checks that are over, but for the newest."""
        over: Document = {"kind": kind.value, "state": {"$nin": sorted(RUNNABLE)}}
        oldest_kept = await self._collection.find_one(over, {"_id": 1}, sort=[("_id", DESCENDING)], skip=keep)
        if oldest_kept is not None:
            await self._collection.delete_many({**over, "_id": {"$lte": oldest_kept["_id"]}})

    async def pause(self, lease: Lease, **changes: object) -> None:
        """Give the check back between two slices; the caller hints it. Raises LeaseLost."""
        times = {"next_attempt_at": NOW, "hint_at": GONE, "hinted_at": NOW, "lease_until": GONE}
        await self._write(lease, self._pipeline(changes, **times))

    def _at_rest(self, state: CheckState) -> Document:
        return {**super()._at_rest(state), "open_key": GONE}

    async def _queue(self, new: NewCheck) -> Check:
        names = ("kind", "mode", "file_id", "read_targets", "bytes_per_second")
        values: dict[str, Any] = {name: getattr(new, name) for name in names}
        values |= {"state": CheckState.QUEUED, "queue": Queue.MAINTENANCE, "open_key": new.key}
        return await self._insert(values)
