"""Files in MongoDB while clients send their bytes."""

from collections.abc import Collection
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.files import MongoFiles, fields_of_new
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.storage.lease import GONE, NEVER_CLAIMED, NOW, after, past
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.storage.value_per_record import ids_of
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import (
    File,
    Lease,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import FINISHED_BY_WORKERS, Door, Upload
from gridhaul.transfer.states import FileState

RECEIVING: Document = {"state": FileState.RECEIVING.value}
ALL_BYTES_ACKNOWLEDGED = [  # nothing more has to come: the length is known, and the offset has reached the length
    {"$in": ["$upload.door", sorted(FINISHED_BY_WORKERS)]},
    {"$not": ["$upload.length_deferred"]},
    {"$gt": ["$stored_bytes", 0]},
    {"$eq": ["$stored_bytes", "$length"]},
]
TO_BE_JOINED: Document = {"state": {"$in": [FileState.STORING.value, FileState.PAUSED.value]}}
PARTS: Document = {"upload.parts": 1}
NO_HOLDER: Document = {"upload.holder": None, "upload.asked_to_let_go": False}


@maps_database_errors
class MongoUploads(MongoFiles):
    """The port `transfer.ports.uploads.Uploads` on MongoDB.

    `lifetime_seconds` is how long an upload that nobody continues is kept. An upload all of whose bytes count is left
    to workers after `finish_seconds`, in which its last request should have finished it.
    """

    def __init__(
        self, database: Database, *, lease_seconds: float, lifetime_seconds: float, finish_seconds: float
    ) -> None:
        super().__init__(database, lease_seconds=lease_seconds)
        expiry = after(lifetime_seconds)
        # The dispatcher hints the file when it is due, and a worker then finishes it or lets it expire.
        due = {"$cond": [{"$and": ALL_BYTES_ACKNOWLEDGED}, after(finish_seconds), expiry]}
        times = {"upload.expires_at": expiry, "next_attempt_at": due, "hint_at": due, "hinted_at": GONE}
        # A separate stage, because it reads `stored_bytes` and `length` as the stage before it has set them.
        self._times_renewed = [{"$set": times}]

    async def create(self, new: NewFile) -> tuple[File, bool]:
        is_joined = isinstance(new.origin, Upload) and bool(new.origin.parts)
        state = FileState.STORING if is_joined else FileState.RECEIVING
        values = fields_of_new(new) | {"state": state, "stored_bytes": 0}
        times = [] if is_joined else self._times_renewed
        made = [*self._pipeline(values, new.owner, **NEVER_CLAIMED), *times]
        same = {"owner": new.owner, "idempotency_key": new.idempotency_key}
        try:
            file = await self._changed({"_id": ObjectId()}, made, upsert=True)
        except DuplicateKeyError:
            found = await read_with_catch_up(self._collection, lambda: self._collection.find_one(same), found=bool)
            if found is None:
                raise
            return self._codec.decode(found), False
        assert file is not None, "an upsert always returns a document"  # noqa: S101
        return file, True

    async def unfinished(self, owner: str, name: str, door: Door, *, length: int) -> File | None:
        fitting = {"$or": [{"length": length}, {"upload.length_deferred": True}]}
        wanted = {"owner": owner, "name": name, **RECEIVING, "upload.door": door.value, **fitting}
        document = await self._collection.find_one(wanted, WITHOUT_HISTORY, sort=[("_id", DESCENDING)])
        return self._codec.decode(document) if document else None

    async def ask_to_let_go(self, file_id: RecordId) -> bool:
        held = {"_id": ObjectId(file_id), **RECEIVING, "upload.holder": {"$ne": None}}
        asked = await self._collection.update_one(held, {"$set": {"upload.asked_to_let_go": True}})
        return asked.matched_count == 1

    async def take(self, file_id: RecordId, *, holder: str, new_content_id: RecordId) -> File | None:
        free = {"_id": ObjectId(file_id), **RECEIVING, "upload.holder": None}
        return await self._changed(free, self._taken(holder, new_content_id))

    async def force(self, file_id: RecordId, *, holder: str, new_content_id: RecordId) -> File | None:
        forced_at = {"upload.forced_at": {"$cond": [{"$eq": ["$upload.holder", None]}, "$upload.forced_at", NOW]}}
        taken = [{"$set": forced_at}, *self._taken(holder, new_content_id)]
        return await self._changed({"_id": ObjectId(file_id), **RECEIVING}, taken)

    def _taken(self, holder: str, new_content_id: RecordId) -> list[Document]:
        ordered = {"$ne": ["$upload.door", Door.CHUNKS.value]}
        is_new = {"$eq": [{"$ifNull": ["$content_id", None]}, None]}
        begins = {"$or": [is_new, {"$and": [ordered, {"$eq": ["$stored_bytes", 0]}]}]}
        anew = {"$cond": [begins, ObjectId(new_content_id), "$content_id"]}
        held = {"upload.holder": {"$literal": holder}, "upload.asked_to_let_go": False}
        fence = {"$add": ["$fence", 1]}
        return [*self._pipeline({}, fence=fence, content_id=anew, **held), *self._times_renewed]

    async def declare_length(self, lease: Lease, length: int) -> None:
        known = {"length": length, "upload.length_deferred": False}
        await self._write_held(lease, {}, [*self._pipeline({}, **known), *self._times_renewed])

    async def advance(self, lease: Lease, *, offset: int, to_offset: int, rate: float | None = None) -> None:
        length = {"$cond": ["$upload.length_deferred", to_offset, "$length"]}
        moved = self._pipeline({"stored_bytes": to_offset, "rate": rate}, length=length)
        await self._write_held(lease, {"stored_bytes": offset}, [*moved, *self._times_renewed])

    async def note_stored(self, lease: Lease, length: int) -> None:
        counted = {"$min": ["$length", {"$add": ["$stored_bytes", length]}]}
        await self._write_held(lease, {}, [*self._pipeline({}, stored_bytes=counted), *self._times_renewed])

    async def name_digests(self, lease: Lease, *, sha256: str | None, md5: str | None) -> None:
        await self._write_held(lease, {}, [{"$set": {"upload.sha256": sha256, "upload.md5": md5}}])

    async def let_go(self, lease: Lease) -> None:
        await self._collection.update_one(_held(lease), [*self._pipeline({}, **NO_HOLDER), *self._times_renewed])

    async def leases_to_end(self, leases: Collection[Lease]) -> Collection[Lease]:
        wanted = {"_id": {"$in": [ObjectId(lease.record_id) for lease in leases]}, **RECEIVING}
        fields = {"fence": 1, "upload.asked_to_let_go": 1}
        fences = {
            RecordId(str(one["_id"])): one["fence"]
            async for one in self._collection.find(wanted, fields)
            if not one["upload"]["asked_to_let_go"]
        }
        return [lease for lease in leases if fences.get(lease.record_id) != lease.fence]

    async def discard(self, file_id: RecordId, *, who: str, fence: int | None = None) -> File | None:
        receiving = {"_id": ObjectId(file_id), **RECEIVING, **({} if fence is None else {"fence": fence})}
        values = {"state": FileState.DELETING, "queue": Queue.MAINTENANCE, "error": None, "attempts": 0}
        deleting = self._pipeline(values, who, fence={"$add": ["$fence", 1]}, **NO_HOLDER, **self._due_now())
        return await self._changed(receiving, deleting)

    async def finish_whole(self, lease: Lease, **fields: object) -> None:
        stored = self._pipeline({"state": FileState.STORED, **fields}, **NO_HOLDER)
        await self._write_held(lease, {}, [*stored, {"$set": self._at_rest(FileState.STORED)}])

    async def begin_storing(self, lease: Lease) -> File:
        times = {"next_attempt_at": NOW, **self._held()}
        storing = self._pipeline({"state": FileState.STORING, "lease_holder": "api"}, **NO_HOLDER, **times)
        file = await self._changed(_held(lease), storing)
        if file is None:
            raise LeaseLost(f"file {lease.record_id}, fence {lease.fence}")
        return file

    async def expire(self, file_id: RecordId) -> File | None:
        over = {"_id": ObjectId(file_id), **RECEIVING, "$expr": past("upload.expires_at")}
        gone = dict.fromkeys(("next_attempt_at", "hint_at", "hinted_at"), GONE)
        expired = {"state": FileState.EXPIRED, "stored_bytes": 0}
        ended = self._pipeline(expired, fence={"$add": ["$fence", 1]}, **NO_HOLDER, **gone)
        before = await self._collection.find_one_and_update(over, ended, WITHOUT_HISTORY)
        return self._codec.decode(before) if before else None

    async def leave_to_workers(self, file_id: RecordId) -> File | None:
        left = {"$and": [*ALL_BYTES_ACKNOWLEDGED, past("next_attempt_at")]}
        received = {"_id": ObjectId(file_id), **RECEIVING, "$expr": left}
        storing = self._pipeline({"state": FileState.STORING}, fence={"$add": ["$fence", 1]}, **NO_HOLDER)
        return await self._changed(received, [*storing, {"$set": self._due_now()}])

    async def keep(self, file_ids: Collection[RecordId], *, seconds: float) -> None:
        await self._move_expiry(file_ids, "$max", seconds)

    async def expire_within(self, file_ids: Collection[RecordId], *, owner: str, seconds: float) -> None:
        needed = await self._still_to_be_joined(file_ids, owner)
        await self._move_expiry({*file_ids} - needed, "$min", seconds)

    async def _still_to_be_joined(self, file_ids: Collection[RecordId], owner: str) -> set[RecordId]:
        """Return those of the owner's files, and others, that unfinished files are to be joined from."""
        joined = {"owner": owner, "in_batch": False, **TO_BE_JOINED, "upload.parts": {"$in": [*file_ids]}}
        return {RecordId(part) async for one in self._collection.find(joined, PARTS) for part in one["upload"]["parts"]}

    async def _move_expiry(self, file_ids: Collection[RecordId], choose: str, seconds: float) -> None:
        expiry = {choose: ["$upload.expires_at", after(seconds)]}
        times: list[Document] = [
            {"$set": {"upload.expires_at": expiry}},
            {"$set": {"next_attempt_at": "$upload.expires_at", "hint_at": "$upload.expires_at", "hinted_at": GONE}},
        ]
        await self._collection.update_many({**ids_of(file_ids), **RECEIVING}, times)

    async def _write_held(self, lease: Lease, condition: Document, pipeline: list[Document]) -> None:
        written = await self._collection.update_one({**_held(lease), **condition}, pipeline)
        if not written.matched_count:
            raise LeaseLost(f"file {lease.record_id}, fence {lease.fence}")


def _held(lease: Lease) -> dict[str, Any]:
    return {"_id": ObjectId(lease.record_id), "fence": lease.fence, **RECEIVING}
