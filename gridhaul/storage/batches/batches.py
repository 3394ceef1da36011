"""Batches in MongoDB: leased records like files and deliveries."""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.storage.lease import GONE, NOW, LeasedCollection, past
from gridhaul.storage.listing import records_of
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.batches import (
    AT_ITS_END,
    ENDED,
    GO_ON_WITH_MEMBER,
    OPEN_BATCH,
    Batch,
    BatchState,
    Counts,
    NewBatch,
    Plan,
    Position,
)
from gridhaul.transfer.model import Queue, RecordId
from gridhaul.transfer.states import Move

SOURCES_IN_LISTS = 10
# A worker that a move takes the batch from may let members follow the earlier action until the end of its lease.
IS_FOLLOWED: Document = {"$and": [{"$gt": ["$following", None]}, {"$gt": ["$lease_until", NOW]}]}
RIVAL: Document = {"rival_until": {"$cond": [IS_FOLLOWED, "$lease_until", "$rival_until"]}}
IN_LISTS: Document = WITHOUT_HISTORY | {name: {"$slice": SOURCES_IN_LISTS} for name in ("sources", "root_of")}


@maps_database_errors
class MongoBatches(LeasedCollection[Batch, BatchState]):
    """The ports `BatchRegistry` and `RunnableBatches` of `transfer.ports.batches` on MongoDB."""

    # After each move a worker lets the members follow it.
    waiting: ClassVar[frozenset[BatchState]] = frozenset(BatchState)

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        super().__init__(database["batches"], Codec(Batch), lease_seconds=lease_seconds)

    async def register(self, new: NewBatch) -> tuple[Batch, bool]:
        values = {name: getattr(new, name) for name in NewBatch.__slots__ if name not in ("idempotency_key", "dry_run")}
        state = BatchState.PLANNING if new.dry_run else BatchState.REGISTERING
        values |= {"plan": Plan()} if new.dry_run else {}
        values |= {"state": state, "queue": Queue.MAINTENANCE, "position": Position(source=0)}
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
        cursor = self._collection.find(wanted, IN_LISTS).sort("_id", DESCENDING).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    async def count_open(self, owner: str, *, limit: int) -> int:
        still_open = {"owner": owner, "state": {"$in": sorted(OPEN_BATCH)}}
        return await self._collection.count_documents(still_open, limit=limit) if limit else 0

    async def note_counts(self, batch_id: RecordId, counts: Counts) -> None:
        fields = self._codec.values({"counts": counts})
        still_open = {"_id": ObjectId(batch_id), "state": {"$in": sorted(OPEN_BATCH)}}
        await self._collection.update_one(still_open, {"$set": fields})

    async def claim_in_its_state(self, batch_id: RecordId, *, holder: str) -> Batch | None:
        counts = ("fence", "fruitless_attempts")
        due = {"next_attempt_at": {"$exists": True}}  # a late hint does not wake a batch that is at rest
        return await self._take(batch_id, due, {"lease_holder": holder}, counts)

    async def look_soon(self, batch_id: RecordId) -> bool:
        free: Document = {"_id": ObjectId(batch_id), "state": BatchState.RUNNING.value, "$expr": past("lease_until")}
        due = await self._collection.update_one(free, [{"$set": self._due_now()}])
        return due.matched_count == 1

    def _movable(self, move: Move[BatchState]) -> Document:
        # While its members follow a cancel, a batch must not go on with one of them: a worker would still cancel it.
        return {**super()._movable(move), **({"following": None} if move is GO_ON_WITH_MEMBER else {})}

    def _moved(self, move: Move[BatchState], changes: dict[str, Any], *, who: str | None) -> list[Document]:
        return [{"$set": RIVAL}, *super()._moved(move, changes, who=who), {"$set": _end(move.to_state)}]

    def _at_rest(self, state: BatchState) -> Document:
        return {**super()._at_rest(state), **_end(state)}


def _end(state: BatchState) -> Document:
    """Return the expression for `ended_at` of a batch that is in the state from now on."""
    return {"ended_at": {"$ifNull": ["$ended_at", NOW]} if state in ENDED | AT_ITS_END else GONE}
