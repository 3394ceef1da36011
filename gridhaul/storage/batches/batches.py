"""Batches in MongoDB: leased records like files and deliveries."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.storage.lease import GONE, NOW, LeasedCollection, past
from gridhaul.storage.listing import records_of
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.batches import OPEN_BATCH, Batch, BatchState, Counts, NewBatch, Position
from gridhaul.transfer.model import Queue, RecordId


@maps_database_errors
class MongoBatches(LeasedCollection[Batch, BatchState]):
    """The ports `BatchRegistry` and `RunnableBatches` of `transfer.ports.batches` on MongoDB."""

    # After each move a worker lets the members follow it.
    waiting: ClassVar[frozenset[BatchState]] = frozenset(BatchState)

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["batches"], Codec(Batch), lease_seconds=lease_seconds)

    async def register(self, new: NewBatch) -> tuple[Batch, bool]:
        values = {name: getattr(new, name) for name in NewBatch.__slots__ if name != "idempotency_key"}
        values |= {"state": BatchState.REGISTERING, "queue": Queue.MAINTENANCE, "position": Position(source=0)}
        if new.idempotency_key is not None:
            values["idempotency_key"] = new.idempotency_key
        try:
            return await self._insert(values), True
        except DuplicateKeyError:
            key = new.idempotency_key or ""
            same = await read_with_catch_up(self._collection, lambda: self.find_by_key(new.owner, key), found=bool)
            if same is None:
                raise
            return same, False

    async def find_by_key(self, owner: str, idempotency_key: str) -> Batch | None:
        document = await self._collection.find_one({"owner": owner, "idempotency_key": idempotency_key})
        return self._codec.decode(document) if document else None

    async def page(
        self, *, owner: str | None, states: Collection[BatchState], limit: int, before: RecordId | None
    ) -> Sequence[Batch]:
        wanted = records_of(owner, states)
        if before is not None:
            wanted["_id"] = {"$lt": ObjectId(before)}
        cursor = self._collection.find(wanted, WITHOUT_HISTORY).sort("_id", DESCENDING).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def count_open(self, owner: str, *, limit: int) -> int:
        still_open = {"owner": owner, "state": {"$in": sorted(OPEN_BATCH)}}
        return await self._collection.count_documents(still_open, limit=limit) if limit else 0

    async def note_counts(self, batch_id: RecordId, counts: Counts) -> None:
        fields = self._codec.values({"counts": counts})
        await self._collection.update_one({"_id": ObjectId(batch_id)}, {"$set": fields})

    async def claim_in_its_state(self, batch_id: RecordId, *, holder: str) -> Batch | None:
        counts = ("fence", "fruitless_attempts")
        return await self._take(batch_id, {}, {"lease_holder": holder}, counts)

    async def look_soon(self, batch_id: RecordId) -> bool:
        free: Document = {"_id": ObjectId(batch_id), "state": BatchState.RUNNING.value, "$expr": past("lease_until")}
        due = await self._collection.update_one(free, [{"$set": self._due_now()}])
        return due.matched_count == 1

    def _at_rest(self, state: BatchState) -> Document:
        ended = {"ended_at": NOW} if state not in OPEN_BATCH else {"ended_at": GONE}
        return {**super()._at_rest(state), **ended}
