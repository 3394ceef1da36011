"""Files and deliveries in MongoDB: the only truth about what is to be done."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from bson import ObjectId
from pymongo import DESCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.codec import Codec, new_id
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW, LeasedCollection
from gridhaul.transfer.errors import OptionsConflict
from gridhaul.transfer.model import Delivery, File, Lease, NewDelivery, NewFile, Queue, RecordId
from gridhaul.transfer.states import DELETABLE, REOPENABLE, DeliveryState, FileState

NEVER_CLAIMED: Document = {
    "fence": 0,
    "attempts": 0,
    "fruitless_attempts": 0,
    "created_at": NOW,
    "updated_at": NOW,
    "next_attempt_at": NOW,
    "hint_at": GONE,
    "hinted_at": NOW,  # whoever makes a record hints it
}


@maps_database_errors
class MongoFiles(LeasedCollection[File, FileState]):
    """`transfer.ports.FileRegistry`."""

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["files"], Codec(File), lease_seconds=lease_seconds)

    async def register(self, new: NewFile) -> tuple[File, bool]:
        values = {name: getattr(new, name) for name in _FILE_FIELDS} | {"state": FileState.REGISTERED}
        if new.idempotency_key is not None:
            values["idempotency_key"] = new.idempotency_key
        try:
            return await self._insert(values), True
        except DuplicateKeyError:
            same = await self.find_by_key(new.owner, new.idempotency_key or "")
            if same is None:
                raise
            return same, False

    async def find_by_key(self, owner: str, idempotency_key: str) -> File | None:
        document = await self._collection.find_one({"owner": owner, "idempotency_key": idempotency_key})
        return self._codec.decode(document) if document else None

    async def page(self, *, state: FileState | None, limit: int, before: RecordId | None) -> Sequence[File]:
        wanted: Document = {} if state is None else {"state": state}
        if before is not None:
            wanted["_id"] = {"$lt": ObjectId(before)}
        cursor = self._collection.find(wanted).sort("_id", DESCENDING).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def request_delete(self, file_id: RecordId) -> File | None:
        values = {"state": FileState.DELETING, "queue": Queue.MAINTENANCE, "error": None}
        counts = {"attempts": 0, "fruitless_attempts": 0}
        await self._collection.update_one(
            {"_id": ObjectId(file_id), "state": {"$in": sorted(DELETABLE)}, "next_attempt_at": None},
            self._pipeline({**values, **counts}, next_attempt_at=NOW, hinted_at=NOW),
        )
        return await self.get(file_id)

    async def delivery_made(self, file_id: RecordId) -> None:
        stored = {"_id": ObjectId(file_id), "state": FileState.STORED}
        await self._collection.update_one(stored, {"$unset": {"hint_at": "", "hinted_at": "", "next_attempt_at": ""}})

    def _when_finished(self, to_state: FileState) -> Any:
        """A stored file that still needs its delivery made stays on the agenda."""
        if to_state is not FileState.STORED:
            return GONE
        return {"$cond": [{"$eq": [{"$type": "$deliver_to"}, "object"]}, NOW, GONE]}

    async def _insert(self, values: dict[str, Any]) -> File:
        """One write: an upsert instead of an insert, because only pipelines know the server's time."""
        document = await self._collection.find_one_and_update(
            {"_id": ObjectId(new_id())},
            [{"$set": {**self._codec.literals(values), **NEVER_CLAIMED}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return self._codec.decode(cast("Document", document))  # an upsert always gives one


_FILE_FIELDS = (
    "owner",
    "name",
    "content_type",
    "length",
    "path",
    "identity",
    "queue",
    "deliver_to",
    "request_fingerprint",
)


@maps_database_errors
class MongoDeliveries(LeasedCollection[Delivery, DeliveryState]):
    """`transfer.ports.DeliveryRegistry`. The field `claimed` is the claim on (target, name), unique while it exists."""

    released_when_finished: ClassVar[tuple[str, ...]] = ("claimed",)

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["deliveries"], Codec(Delivery), lease_seconds=lease_seconds)

    async def make(self, new: NewDelivery) -> bool:
        try:
            await self._queue(new, again_from=frozenset())
        except DuplicateKeyError:
            return False
        return True

    async def open(self, new: NewDelivery) -> tuple[Delivery, bool]:
        try:
            return await self._queue(new, again_from=REOPENABLE), True
        except DuplicateKeyError:  # it is there, and not to be queued again
            delivery = await self.get(new.id)
            assert delivery is not None, "deliveries are never removed"  # noqa: S101
            if delivery.if_exists is not new.destination.if_exists:
                raise OptionsConflict(
                    f"This delivery exists with if_exists={delivery.if_exists}; repeat it with the same options."
                ) from None
            return delivery, False

    async def hold_name(self, lease: Lease, final_name: str) -> bool:
        claim = {"target": "$target", "name": {"$literal": final_name}}
        try:
            await self._write(lease, self._pipeline({"final_name": final_name}, claimed=claim, **self._held()))
        except DuplicateKeyError:
            return False
        return True

    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        cursor = self._collection.find({"file_id": ObjectId(file_id)}).sort({"created_at": 1, "_id": 1})
        return [self._codec.decode(document) async for document in cursor]

    async def _queue(self, new: NewDelivery, *, again_from: frozenset[DeliveryState]) -> Delivery:
        """Insert, or queue one again that ended; its fence and what it left at the target stay known."""
        to = new.destination
        values: dict[str, Any] = {"target": to.target, "object_name": to.object_name, "if_exists": to.if_exists}
        values |= {"file_id": new.file_id, "owner": new.owner, "length": new.length, "sha256": new.sha256}
        values |= {"queue": new.queue, "state": DeliveryState.QUEUED, "error": None, "sent_bytes": 0}
        kept = {name: {"$ifNull": [f"${name}", NEVER_CLAIMED[name]]} for name in ("fence", "created_at")}
        document = await self._collection.find_one_and_update(
            {"_id": ObjectId(new.id), "state": {"$in": sorted(again_from)}},
            [{"$set": {**self._codec.literals(values), **NEVER_CLAIMED, **kept}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return self._codec.decode(cast("Document", document))  # an upsert always gives one
