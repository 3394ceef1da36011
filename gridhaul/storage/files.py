"""Files in MongoDB: with deliveries, the only truth about what is to be done."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.bundled_files import BundledFiles
from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW
from gridhaul.storage.listing import FILE_LISTS, page_of
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.storage.schema import OPEN_FILES
from gridhaul.storage.value_per_record import ids_of, value_per_record
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import File, NewFile, Queue, RecordId
from gridhaul.transfer.states import (
    DELETABLE,
    Action,
    FileState,
)

ASKED: Document = {"$ifNull": ["$deliveries_asked", 0]}
# Expressions for a record that rests from now on, whoever held it.
TAKEN_AWAY: Document = {
    "fence": {"$add": ["$fence", 1]},
    **dict.fromkeys(("lease_until", "wait", "next_attempt_at", "hint_at", "hinted_at"), GONE),
}


@maps_database_errors
class MongoFiles(BundledFiles):
    """The ports `FileRegistry` and `StorableFiles` of `transfer.ports.files` on MongoDB."""

    waiting: ClassVar[frozenset[FileState]] = frozenset({FileState.REGISTERED, FileState.STORING})

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["files"], Codec(File), lease_seconds=lease_seconds)

    async def register(self, new: NewFile) -> tuple[File, bool]:
        values = fields_of_new(new) | {"state": FileState.REGISTERED}
        try:
            return await self._insert(values, who=new.owner if new.batch_id is None else None), True
        except DuplicateKeyError:
            key = new.idempotency_key or ""
            same = await read_with_catch_up(self._collection, lambda: self.find_by_key(new.owner, key), found=bool)
            if same is None:
                raise
            return same, False

    def registrations(self, new: Sequence[NewFile]) -> list[UpdateOne]:
        """Return the writes that register members of batches. Only pipelines know the server's time."""
        state = FileState.REGISTERED.value
        times = dict.fromkeys(("created_at", "updated_at", "changed_at", "next_attempt_at"), NOW)
        counts = {"fence": 0, "attempts": 0, "fruitless_attempts": 0, "revision": 1}
        event = {"time": NOW, "state": state, "attempt": 0, "revision": 1}
        born = {"state": state, **times, **counts, "history": [event]}
        return [
            UpdateOne({"_id": ObjectId()}, [{"$set": born | self._codec.literals(fields_of_new(one))}], upsert=True)
            for one in new
        ]

    async def find_by_key(self, owner: str, idempotency_key: str) -> File | None:
        document = await self._collection.find_one({"owner": owner, "idempotency_key": idempotency_key})
        return self._codec.decode(document) if document else None

    async def page(self, selection: Selection, *, limit: int, after: File | None) -> Sequence[File]:
        found = await page_of(self._collection, FILE_LISTS, selection, limit=limit, after=after)
        return [self._codec.decode(document) for document in found]

    async def count_open(self, owner: str, *, limit: int) -> int:
        alone = {"owner": owner, "in_batch": False, **OPEN_FILES}
        return await self._collection.count_documents(alone, limit=limit) if limit else 0

    async def retry(self, file: File, *, who: str | None = None, **changes: object) -> File | None:
        as_read = {"_id": ObjectId(file.id), "fence": file.fence}
        return await self._move(as_read, file.origin.moves[Action.RETRY], changes, who=who)

    async def request_delete(self, file_id: RecordId, *, deliveries_asked: int, who: str | None = None) -> File | None:
        values = {"state": FileState.DELETING, "queue": Queue.MAINTENANCE, "error": None}
        counts = {"attempts": 0, "fruitless_attempts": 0}
        all_seen = {"$eq": [ASKED, deliveries_asked]}
        at_rest = {"state": {"$in": sorted(DELETABLE)}, "next_attempt_at": None, "$expr": all_seen}
        deleting = self._pipeline({**values, **counts}, who, **self._due_now())
        await self._write_all({"_id": ObjectId(file_id), **at_rest}, deleting)
        return await self.get(file_id)

    async def begin_delete(self, deliveries_asked: Mapping[RecordId, int]) -> None:
        """Move the files to DELETING whose count of deliveries is still the one given. Nobody hints them."""
        all_seen = {"$eq": [ASKED, value_per_record(deliveries_asked)]}
        over = {**ids_of(deliveries_asked), "state": {"$in": sorted(DELETABLE)}, "$expr": all_seen}
        await self._write_all(over, self._pipeline({"state": FileState.DELETING, "error": None}, **TAKEN_AWAY))

    async def end_delete(self, file_ids: Collection[RecordId]) -> int:
        """Move the files from DELETING to DELETED, whoever holds them, and return how many were moved.

        A worker that deletes one of them by itself loses it, so only the caller releases the file's quota.
        """
        deleting = {**ids_of(file_ids), "state": FileState.DELETING.value}
        deleted = self._pipeline({"state": FileState.DELETED, "stored_bytes": 0}, **TAKEN_AWAY)
        return await self._write_all(deleting, deleted)

    async def deliveries_made(self, counts: Mapping[RecordId, int]) -> None:
        counted = {"deliveries_asked": {"$add": [ASKED, value_per_record(counts)]}}
        at_rest = dict.fromkeys(("hint_at", "hinted_at", "next_attempt_at"), GONE)
        stored = {**ids_of(counts), "state": FileState.STORED.value}
        await self._collection.update_many(stored, [{"$set": {**counted, **at_rest}}])

    async def count_delivery(self, file_id: RecordId) -> bool:
        counted = await self._collection.update_one(_stored(file_id), {"$inc": {"deliveries_asked": 1}})
        return counted.matched_count == 1

    def _at_rest(self, state: FileState) -> Document:
        """Return the times of a file at rest, but keep a STORED file due while its deliveries are still to be made."""
        if state is not FileState.STORED:
            return super()._at_rest(state)
        then = {"$cond": [{"$eq": [{"$ifNull": ["$deliver_to", []]}, []]}, GONE, NOW]}
        return {"next_attempt_at": then, "hint_at": then, "hinted_at": GONE}


def fields_of_new(new: NewFile) -> dict[str, Any]:
    """Return the fields of a new file. `in_batch` is only for the index of open files: no index covers a missing id."""
    values = {name: getattr(new, name) for name in _FILE_FIELDS}
    if new.idempotency_key is not None:
        values["idempotency_key"] = new.idempotency_key
    if new.batch_id is None:
        return {**values, "in_batch": False}
    return {**values, "in_batch": True, "batch_id": new.batch_id, "expected": new.expected}


def _stored(file_id: RecordId) -> Document:
    return {"_id": ObjectId(file_id), "state": FileState.STORED.value}


_FILE_FIELDS = (
    "owner",
    "name",
    "content_type",
    "length",
    "origin",
    "queue",
    "deliver_to",
    "request_fingerprint",
)
