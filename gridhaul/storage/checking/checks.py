"""Checks in MongoDB: leased records like files and deliveries. Of equal checks only one is open at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW, LeasedCollection
from gridhaul.storage.listing import Keys, directed
from gridhaul.storage.schema import CHECKS_OF_FILE, CHECKS_OF_KIND
from gridhaul.transfer.checks import RUNNABLE, Check, CheckKind, CheckState, NewCheck
from gridhaul.transfer.model import Lease, Queue, RecordId

BY_ID: Keys = ("_id",)


@maps_database_errors
class MongoChecks(LeasedCollection[Check, CheckState]):
    """The ports `CheckRegistry` and `RunnableChecks` of `transfer.ports.checking` on MongoDB.

    The field `open_key` exists as long as a check is open; no two checks have the same value.
    """

    waiting: ClassVar[frozenset[CheckState]] = (
        frozenset()
    )  # CANCEL_CHECK is the only move, and a cancelled check needs no worker

    keeps_history: ClassVar[bool] = False

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["checks"], Codec(Check), lease_seconds=lease_seconds)

    async def open(self, new: NewCheck) -> tuple[Check, bool]:
        while True:
            try:
                return await self._queue(new), True
            except DuplicateKeyError:
                document = await self._collection.find_one({"open_key": new.key})
            if document is not None:  # otherwise the open check ended just now: try again to queue one
                return self._codec.decode(document), False

    async def page(
        self,
        *,
        limit: int,
        before: RecordId | None,
        kind: CheckKind | None = None,
        file_id: RecordId | None = None,
    ) -> Sequence[Check]:
        wanted: Document = {} if before is None else {"_id": {"$lt": ObjectId(before)}}
        index: Keys = BY_ID
        if kind is not None:
            wanted["kind"], index = kind.value, CHECKS_OF_KIND
        if file_id is not None:
            wanted["file_id"], index = ObjectId(file_id), CHECKS_OF_FILE
        cursor = self._collection.find(wanted, {"findings": 0}, limit=limit, hint=directed(index))
        return [self._codec.decode(document) async for document in cursor.sort("_id", DESCENDING)]

    async def newest_about(
        self, *, file_id: RecordId, content_id: RecordId, sealed_at: datetime | None
    ) -> Check | None:
        of_file: Document = {"file_id": ObjectId(file_id)}
        if sealed_at is not None:
            of_file["created_at"] = {"$gte": sealed_at}
        about = {"$or": [of_file, {"findings.content_id": ObjectId(content_id)}]}
        document = await self._collection.find_one(about, sort=[("_id", DESCENDING)])
        return self._codec.decode(document) if document else None

    async def forget(self, kind: CheckKind, *, keep: int) -> None:
        """Remove the records of this kind's checks that are over, except the `keep` newest."""
        over: Document = {"kind": kind.value, "state": {"$nin": sorted(RUNNABLE)}}
        oldest_kept = await self._collection.find_one(over, {"_id": 1}, sort=[("_id", DESCENDING)], skip=keep)
        if oldest_kept is not None:
            await self._collection.delete_many({**over, "_id": {"$lte": oldest_kept["_id"]}})

    async def pause(self, lease: Lease, **changes: object) -> None:
        times = {"next_attempt_at": NOW, "hint_at": GONE, "hinted_at": NOW, "lease_until": GONE}
        await self._write(lease, self._pipeline(changes, **times))

    def _at_rest(self, state: CheckState) -> Document:
        return {**super()._at_rest(state), "open_key": GONE}

    async def _queue(self, new: NewCheck) -> Check:
        names = ("kind", "mode", "file_id", "read_targets", "bytes_per_second")
        values: dict[str, Any] = {name: getattr(new, name) for name in names}
        values |= {"state": CheckState.QUEUED, "queue": Queue.MAINTENANCE, "open_key": new.key}
        return await self._insert(values)
