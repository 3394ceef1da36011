"""Deliveries in MongoDB: with files, the only truth about what is to be done."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.bundled_deliveries import MongoBundledDeliveries
from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.content.inserting import doubles
from gridhaul.storage.history import RECORDS_IN_LISTS
from gridhaul.storage.lease import GONE, LONGEST_REQUEST_SECONDS, NEVER_CLAIMED, NOW, OWN_HINTS, after
from gridhaul.storage.listing import DELIVERY_LISTS, LOST, page_of, page_of_lost
from gridhaul.storage.lost_objects import object_forgotten
from gridhaul.storage.names_at_targets import why_not_ours
from gridhaul.transfer.errors import OptionsConflict
from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import ATTEMPTS_KEPT, Delivery, Lease, NewDelivery, Queue, RecordId
from gridhaul.transfer.states import (
    OVER,
    REOPENABLE,
    DeliveryState,
    Move,
)

REOPENED: Document = {"state": {"$in": sorted(REOPENABLE)}}
NEVER: Document = {"state": {"$in": []}}
UPLOADS_BEGUN: Document = {"$ifNull": ["$uploads_begun", []]}
LEFTOVERS: Document = {"$ifNull": ["$leftovers", []]}
# A delivery that is over keeps its claim on its final name as long as the name is among the leftovers.
CLAIM_LEFT: Document = {"$cond": [{"$in": ["$final_name", LEFTOVERS]}, "$claimed", GONE]}


@maps_database_errors
class MongoDeliveries(MongoBundledDeliveries):
    """The ports `DeliveryRegistry` and `DeliverableRecords` of `transfer.ports.deliveries` on MongoDB.

    The field `claimed` is a delivery's claim on a name at its target; no two deliveries have the same value. While
    `queue` is that of maintenance, `queue_before` is the queue to which the delivery goes back when it is queued again.
    """

    waiting: ClassVar[frozenset[DeliveryState]] = frozenset({DeliveryState.QUEUED})
    # A worker that writes straight to the final name has certainly stopped when its lease ends. No other worker may
    # write to the name before.
    lease_left: ClassVar[Document] = {"$cond": ["$final_touched", "$lease_until", GONE]}

    def __init__(
        self, database: Database, *, lease_seconds: float, sweep_seconds: float = LONGEST_REQUEST_SECONDS
    ) -> None:
        super().__init__(database["deliveries"], Codec(Delivery), lease_seconds=lease_seconds)
        self._sweep_seconds = sweep_seconds

    async def make_all(self, new: Sequence[NewDelivery]) -> frozenset[RecordId]:
        wanted = {one.id: one for one in new}
        made = [
            UpdateOne({"_id": ObjectId(one.id), **NEVER}, [*self._queued(one, who=None), OWN_HINTS], upsert=True)
            for one in wanted.values()
        ]
        there = await doubles(self._collection.bulk_write(made, ordered=False)) if made else []
        return frozenset(record_id for at, record_id in enumerate(wanted) if at not in there)

    async def open(self, new: NewDelivery, *, who: str | None = None) -> tuple[Delivery, bool]:
        while True:
            try:
                return await self._queue(new, again_if=REOPENED, who=who), True
            except DuplicateKeyError:  # the delivery exists in a state from which nothing queues it again
                delivery = await self.get(new.id)
            assert delivery is not None, "deliveries are never removed"  # noqa: S101
            if delivery.state in REOPENABLE:  # the delivery ended just now: try to queue it again
                continue
            if delivery.if_exists is not new.destination.if_exists:
                raise OptionsConflict(
                    f"The delivery exists with another policy for an object of its name, `{delivery.if_exists}`; "
                    "repeat that policy, or choose another name."
                )
            return delivery, False

    async def why_not_ours(self, delivery: Delivery) -> SkipReason | None:
        return await why_not_ours(self._collection, delivery)

    async def hold_name(self, lease: Lease, final_name: str) -> bool:
        claim = {"target": "$target", "name": {"$literal": final_name}}
        folder = {"$literal": final_name.rpartition("/")[0]}
        fields = self._pipeline({"final_name": final_name}, claimed=claim, folder=folder, **self._held())
        try:
            await self._write(lease, fields)
        except DuplicateKeyError:
            return False
        return True

    async def note_upload(self, lease: Lease, **changes: object) -> None:
        begun = {"$slice": [{"$concatArrays": [UPLOADS_BEGUN, [NOW]]}, -ATTEMPTS_KEPT]}
        await self._write(lease, self._pipeline(changes, uploads_begun=begun, **self._held()))

    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        theirs = {"file_id": ObjectId(file_id)}
        cursor = self._collection.find(theirs, RECORDS_IN_LISTS).sort({"created_at": 1, "_id": 1})
        return [self._codec.decode(document) async for document in cursor]

    async def page(self, selection: Selection, *, limit: int, after: Delivery | None) -> Sequence[Delivery]:
        found = await page_of(self._collection, DELIVERY_LISTS, selection, limit=limit, after=after)
        return [self._codec.decode(document) for document in found]

    async def page_of_lost(self, *, owner: str | None, limit: int, after: Delivery | None) -> Sequence[Delivery]:
        found = await page_of_lost(self._collection, owner, limit=limit, after=after)
        return [self._codec.decode(document) for document in found]

    async def claim_cleaning(self, delivery_id: RecordId, *, holder: str) -> Delivery | None:
        to_be_cleaned = {"state": {"$in": sorted(OVER)}, "next_attempt_at": {"$exists": True}}
        counts = ("fence", "fruitless_attempts")
        return await self._take(delivery_id, to_be_cleaned, {"lease_holder": holder}, counts)

    def _due_now(self) -> Document:
        queue = {"queue": {"$ifNull": ["$queue_before", "$queue"]}, "queue_before": GONE}
        return {**super()._due_now(), **queue, "ended_at": GONE, "cleaning_error": GONE, **object_forgotten()}

    def _movable(self, move: Move[DeliveryState]) -> Document:
        lost = {"state": {"$in": sorted(move.from_lost)}, **LOST}
        return {"$or": [super()._movable(move), lost]} if move.from_lost else super()._movable(move)

    def _at_rest(self, state: DeliveryState) -> Document:
        """Return the times of a delivery at rest, but keep a delivery due that is over and has leftovers."""
        if state not in OVER:
            return super()._at_rest(state)
        maintenance = Queue.MAINTENANCE.value
        none_left, moved_before = {"$eq": [LEFTOVERS, []]}, {"$eq": ["$queue", maintenance]}
        then = {"$cond": [none_left, GONE, after(self._sweep_seconds)]}
        return {
            "next_attempt_at": then,
            "hint_at": then,
            "hinted_at": GONE,
            "queue": {"$cond": [none_left, "$queue", maintenance]},
            "queue_before": {"$cond": [{"$or": [none_left, moved_before]}, "$queue_before", "$queue"]},
            "claimed": CLAIM_LEFT,
            "cleaning_error": {"$ifNull": ["$cleaning_error", GONE]},  # the index has only deliveries with an error
            "ended_at": {"$ifNull": ["$ended_at", NOW]},
        }

    def _once_released(self, state: DeliveryState) -> list[Document]:
        return [{"$set": {"claimed": CLAIM_LEFT}}] if state in OVER else []

    async def _queue(self, new: NewDelivery, *, again_if: Document, who: str | None) -> Delivery:
        """Insert the delivery, or queue it again if it meets the condition `again_if`.

        The new fence takes the delivery away from a worker that cleans up after it. The leftovers stay noted. Raises
        DuplicateKeyError if the delivery exists and does not meet the condition.
        """
        delivery = await self._changed({"_id": ObjectId(new.id), **again_if}, self._queued(new, who=who), upsert=True)
        return cast("Delivery", delivery)  # an upsert always returns a document

    def _queued(self, new: NewDelivery, *, who: str | None) -> list[Document]:
        to = new.destination
        values: dict[str, Any] = {"target": to.target, "object_name": to.object_name, "if_exists": to.if_exists}
        values |= {"file_id": new.file_id, "owner": new.owner, "length": new.length, "sha256": new.sha256}
        values |= {"source_path": new.source_path}
        if new.batch_id is not None:
            values["batch_id"] = new.batch_id
        values |= {"queue": new.queue, "state": DeliveryState.QUEUED, "error": None, "rate": None}
        values |= {"sent_bytes": 0, "sent_in_attempts": ()}
        kept = {
            "fence": {"$add": [{"$ifNull": ["$fence", -1]}, 1]},
            "created_at": {"$ifNull": ["$created_at", NOW]},
            "lease_until": self.lease_left,
        }
        return [*self._pipeline(values, who, **NEVER_CLAIMED | kept), {"$set": self._due_now()}]
