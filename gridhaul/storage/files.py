"""Files in MongoDB: with deliveries, the only truth about what is to be done."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.bundled_files import BundledFiles
from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW
from gridhaul.storage.listing import records_of
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.model import File, NewFile, Queue, RecordId
from gridhaul.transfer.states import (
    DELETABLE,
    FILE_MOVES,
    UNFINISHED,
    Action,
    FileState,
)


@maps_database_errors
class MongoFiles(BundledFiles):
    """The ports `FileRegistry` and `StorableFiles` of `transfer.ports.files` on MongoDB."""

    waiting: ClassVar[frozenset[FileState]] = frozenset({FileState.REGISTERED})

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["files"], Codec(File), lease_seconds=lease_seconds)

    async def register(self, new: NewFile) -> tuple[File, bool]:
        values = {name: getattr(new, name) for name in _FILE_FIELDS} | {"state": FileState.REGISTERED}
        if new.idempotency_key is not None:
            values["idempotency_key"] = new.idempotency_key
        if new.batch_id is not None:
            values["batch_id"] = new.batch_id
        try:
            return await self._insert(values), True
        except DuplicateKeyError:
            key = new.idempotency_key or ""
            same = await read_with_catch_up(self._collection, lambda: self.find_by_key(new.owner, key), found=bool)
            if same is None:
                raise
            return same, False

    async def find_by_key(self, owner: str, idempotency_key: str) -> File | None:
        document = await self._collection.find_one({"owner": owner, "idempotency_key": idempotency_key})
        return self._codec.decode(document) if document else None

    async def page(
        self, *, owner: str | None, states: Collection[FileState], limit: int, before: RecordId | None
    ) -> Sequence[File]:
        wanted = records_of(owner, states)
        if before is not None:
            wanted["_id"] = {"$lt": ObjectId(before)}
        cursor = self._collection.find(wanted).sort("_id", DESCENDING).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def count_open(self, owner: str, *, limit: int) -> int:
        unfinished = {"owner": owner, "state": {"$in": sorted(UNFINISHED)}}
        return await self._collection.count_documents(unfinished, limit=limit) if limit else 0

    async def retry(self, file: File, **changes: object) -> File | None:
        return await self._move({"_id": ObjectId(file.id), "fence": file.fence}, FILE_MOVES[Action.RETRY], changes)

    async def request_delete(self, file_id: RecordId, *, deliveries_asked: int) -> File | None:
        values = {"state": FileState.DELETING, "queue": Queue.MAINTENANCE, "error": None}
        counts = {"attempts": 0, "fruitless_attempts": 0}
        all_seen = {"$eq": [{"$ifNull": ["$deliveries_asked", 0]}, deliveries_asked]}
        at_rest = {"state": {"$in": sorted(DELETABLE)}, "next_attempt_at": None, "$expr": all_seen}
        await self._collection.update_one(
            {"_id": ObjectId(file_id), **at_rest}, self._pipeline({**values, **counts}, **self._due_now())
        )
        return await self.get(file_id)

    async def delivery_made(self, file_id: RecordId) -> None:
        at_rest = {"$unset": dict.fromkeys(("hint_at", "hinted_at", "next_attempt_at"), "")}
        await self._collection.update_one(_stored(file_id), {"$inc": {"deliveries_asked": 1}, **at_rest})

    async def count_delivery(self, file_id: RecordId) -> bool:
        counted = await self._collection.update_one(_stored(file_id), {"$inc": {"deliveries_asked": 1}})
        return counted.matched_count == 1

    def _at_rest(self, state: FileState) -> Document:
        """Return the times of a file at rest, but keep a STORED file due while its delivery is still to be made."""
        if state is not FileState.STORED:
            return super()._at_rest(state)
        then = {"$cond": [{"$eq": [{"$type": "$deliver_to"}, "object"]}, NOW, GONE]}
        return {"next_attempt_at": then, "hint_at": then, "hinted_at": GONE}


def _stored(file_id: RecordId) -> Document:
    return {"_id": ObjectId(file_id), "state": FileState.STORED.value}


_FILE_FIELDS = (
    "owner",
    "name",
    "content_type",
    "length",
    "path",
    "root",
    "identity",
    "queue",
    "deliver_to",
    "if_changed",
    "request_fingerprint",
)
