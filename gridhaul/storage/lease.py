"""Leases with fences, on the database server's time (`$$NOW`, which exists only in pipeline updates and `$expr`).

A record may be claimed from `next_attempt_at` on. Two more fields drive the dispatcher (docs/adr/0002). `hint_at` is
the time from which a hint is owed; while a worker holds a lease, it is the end of the lease. `hinted_at` is the time of
the last hint, and exists until a worker claims the record. A member of a batch has neither field, because its batch
owes the hints; only work of maintenance is hinted for each member by itself.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import ConnectionFailure, WriteConcernError

from gridhaul.storage.codec import Codec, new_id
from gridhaul.storage.connect import Collection, Document, maps_database_errors
from gridhaul.storage.history import WITHOUT_HISTORY, action_noted, change_noted
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.errors import LeaseLost, Patience
from gridhaul.transfer.model import Lease, Queue, RecordId
from gridhaul.transfer.states import Move

R = TypeVar("R")
S = TypeVar("S", bound=str)

NOW = "$$NOW"
GONE = "$$REMOVE"
LONGEST_REQUEST_SECONDS = 120.0  # how long a request of a worker that lost its record may still have an effect


def after(seconds: float) -> Document:
    """Return an expression for the server's time in `seconds`, or that long ago if `seconds` is negative."""
    return {"$dateAdd": {"startDate": NOW, "unit": "millisecond", "amount": round(seconds * 1000)}}


def past(field: str) -> Document:
    """Return an expression that is true if the time in `field` has come, or the field does not exist."""
    return {"$lte": [f"${field}", NOW]}


NEVER_CLAIMED: Document = {
    "fence": 0,
    "attempts": 0,
    "fruitless_attempts": 0,
    "wait": GONE,
    "created_at": NOW,
    "updated_at": NOW,
    "next_attempt_at": NOW,
    "hint_at": GONE,
    "hinted_at": NOW,  # the caller sends a hint when it has made the record
}
DUE_AND_FREE: Document = {"$and": [past("next_attempt_at"), past("lease_until")]}
HINTED_BY_BATCH: Document = {
    "$and": [{"$gt": ["$batch_id", None]}, {"$ne": ["$queue", Queue.MAINTENANCE.value]}],
}
# The last stage of each write. It sees the queue and the times as the stages before set them.
OWN_HINTS: Document = {
    "$set": {name: {"$cond": [HINTED_BY_BATCH, GONE, f"${name}"]} for name in ("hint_at", "hinted_at")}
}


@maps_database_errors
class LeasedCollection(Generic[R, S]):
    """The ports `LeasedRecords` and `MovableRecords` of `transfer.ports.leasing` on one collection."""

    waiting: ClassVar[frozenset[Any]]  # the states after a move in which a record waits for a worker
    lease_left: ClassVar[Any] = GONE  # until when nobody can claim a record that a move took from its worker
    keeps_history: ClassVar[bool] = True  # False: the records have no field `history`

    def __init__(self, collection: Collection, codec: Codec[R], *, lease_seconds: float) -> None:
        self._collection = collection
        self._codec = codec
        self._lease_seconds = lease_seconds

    async def get(self, record_id: RecordId) -> R | None:
        wanted = {"_id": ObjectId(record_id)}
        document = await read_with_catch_up(self._collection, lambda: self._collection.find_one(wanted), found=bool)
        return self._codec.decode(document) if document else None

    async def claim(self, record_id: RecordId, *, holder: str, from_states: frozenset[S], to_state: S) -> R | None:
        values = {"state": to_state, "lease_holder": holder, "error": None, "rate": None}
        counts = ("fence", "attempts", "fruitless_attempts")
        return await self._take(record_id, {"state": {"$in": sorted(from_states)}}, values, counts)

    async def _take(
        self, record_id: RecordId, condition: Document, values: dict[str, Any], counts: tuple[str, ...]
    ) -> R | None:
        """Claim the record if it is due, not leased and meets the condition; return None otherwise.

        The fields `counts` grow by one.
        """
        claim_id = ObjectId()
        counted = {name: {"$add": [f"${name}", 1]} for name in counts}
        taken = self._pipeline({**values, "claim_id": claim_id}, **counted, **self._held())
        claimable = {"_id": ObjectId(record_id), **condition, "$expr": DUE_AND_FREE}
        try:
            return await self._changed(claimable, taken)
        except (ConnectionFailure, WriteConcernError):  # the record may be claimed, although no answer arrived
            mine = {"_id": ObjectId(record_id), "claim_id": claim_id}
            document = await read_with_catch_up(
                self._collection, lambda: self._collection.find_one(mine, WITHOUT_HISTORY), found=bool
            )
        return self._codec.decode(document) if document else None

    async def renew(self, lease: Lease, **changes: object) -> None:
        await self._write(lease, self._pipeline(changes, **self._held()))

    async def release(self, lease: Lease, to_state: S, *, delay_seconds: float, **changes: object) -> None:
        await self._write(lease, self._released(to_state, delay_seconds, changes))

    async def wait(
        self, lease: Lease, to_state: S, *, patience: Patience, delay_seconds: float, **changes: object
    ) -> None:
        released = self._released(to_state, delay_seconds, changes)
        await self._write(lease, [*released, {"$set": {"wait": _one_more(patience)}}])

    def _released(self, to_state: S, delay_seconds: float, changes: dict[str, Any]) -> list[Document]:
        due = after(delay_seconds)
        values = {"state": to_state, "rate": None, **changes}
        times = {"next_attempt_at": due, "hint_at": due, "hinted_at": GONE, "lease_until": GONE}
        return [*self._pipeline(values, **times), *self._once_released(to_state)]

    async def finish(self, lease: Lease, to_state: S, **changes: object) -> None:
        ended = self._pipeline({"state": to_state, "rate": None, **changes}, lease_until=GONE, wait=GONE)
        await self._write(lease, [*ended, {"$set": self._at_rest(to_state)}])

    async def require(self, lease: Lease) -> None:
        if await self._collection.find_one(held_under(lease), {"_id": 1}) is None:
            raise LeaseLost(f"record {lease.record_id}, fence {lease.fence}")

    async def move(self, record_id: RecordId, move: Move[S], *, who: str | None = None, **changes: object) -> R | None:
        return await self._move({"_id": ObjectId(record_id)}, move, changes, who=who)

    async def hurry(self, record_id: RecordId, *, who: str | None = None) -> R | None:
        waits_for_later = {
            "_id": ObjectId(record_id),
            "state": {"$in": sorted(self.waiting)},
            "$expr": {"$and": [{"$gt": ["$next_attempt_at", NOW]}, past("lease_until")]},
        }
        return await self._changed(waits_for_later, self._pipeline({}, **self._due_now(), **action_noted(who)))

    async def move_all(self, record_ids: Sequence[RecordId], move: Move[S], *, who: str | None) -> int:
        """Move those of the records from whose state the move may be made. Return their number."""
        wanted = {"_id": {"$in": [*map(ObjectId, record_ids)]}, **self._movable(move)}
        return await self._write_all(wanted, self._moved(move, {}, who=who)) if record_ids else 0

    async def _move(self, wanted: Document, move: Move[S], changes: dict[str, Any], *, who: str | None) -> R | None:
        return await self._changed({**wanted, **self._movable(move)}, self._moved(move, changes, who=who))

    def _moved(self, move: Move[S], changes: dict[str, Any], *, who: str | None) -> list[Document]:
        afresh = {"state": move.to_state, "rate": None, "error": None, "fruitless_attempts": 0, **changes}
        ended = {"fence": {"$add": ["$fence", 1]}, "lease_until": self.lease_left, "wait": GONE}
        waits = move.to_state in self.waiting
        times = self._due_now() if waits else self._at_rest(move.to_state)
        return [*self._pipeline(afresh, who, **ended), {"$set": times}]

    def _movable(self, move: Move[S]) -> Document:
        """Return the condition for records from whose state the move may be made."""
        return {"state": {"$in": sorted(move.from_states)}}

    async def _insert(self, values: dict[str, Any], *, who: str | None = None) -> R:
        """Insert a record with a new id. The write is an upsert, because only pipelines know the server's time."""
        made = self._pipeline(values, who, **NEVER_CLAIMED)
        inserted = await self._changed({"_id": ObjectId(new_id())}, made, upsert=True)
        return cast("R", inserted)  # an upsert always returns a document

    def _due_now(self) -> Document:
        """Return expressions for the times of a record that waits for a worker from now on.

        The caller hints the record now. If the record is still leased, a hint is owed at the end of the lease instead.
        """
        leased = {"$gt": ["$lease_until", NOW]}
        return {
            "next_attempt_at": NOW,
            "hint_at": {"$cond": [leased, "$lease_until", GONE]},
            "hinted_at": {"$cond": [leased, GONE, NOW]},
        }

    def _at_rest(self, state: S) -> Document:
        """Return expressions for the times of a record at rest in `state`.

        The expressions see the other fields of the record as the same write sets them.
        """
        return dict.fromkeys(("next_attempt_at", "hint_at", "hinted_at"), GONE)

    def _once_released(self, state: S) -> list[Document]:
        """Return further stages of the write that releases a record; they see its fields as the write sets them."""
        return []

    def _held(self) -> Document:
        end = after(self._lease_seconds)
        return {"lease_until": end, "hint_at": end, "hinted_at": GONE}

    def _pipeline(self, values: dict[str, Any], who: str | None = None, /, **expressions: Any) -> list[Document]:
        """Return the first stage of a write. If it changes the state, it adds an event, with the name `who`."""
        written = {**self._codec.literals(values), "updated_at": NOW, **expressions}
        noted = change_noted(written, who) if self.keeps_history and "state" in written else {}
        return [{"$set": {**written, **noted}}]

    async def _write(self, lease: Lease, pipeline: list[Document]) -> None:
        """Write under the fence; a lease that has ended still counts until the next claim. Raises LeaseLost."""
        result = await self._collection.update_one(held_under(lease), [*pipeline, OWN_HINTS])
        if not result.matched_count:
            raise LeaseLost(f"record {lease.record_id}, fence {lease.fence}")

    async def _write_all(self, wanted: Document, pipeline: list[Document]) -> int:
        """Write all wanted records and return their number."""
        written = await self._collection.update_many(wanted, [*pipeline, OWN_HINTS])
        return written.matched_count

    async def _changed(self, wanted: Document, pipeline: list[Document], *, upsert: bool = False) -> R | None:
        """Change the wanted record and return it as it is afterwards, or None if there is no such record."""
        document = await self._collection.find_one_and_update(
            wanted,
            [*pipeline, OWN_HINTS],
            projection=WITHOUT_HISTORY,
            upsert=upsert,
            return_document=ReturnDocument.AFTER,
        )
        return self._codec.decode(document) if document else None


def _one_more(patience: Patience) -> Document:
    """Return the expression for `wait` after another attempt that something outside did not allow."""
    goes_on = {"$eq": ["$wait.patience", patience.value]}
    return {
        "since": {"$cond": [goes_on, "$wait.since", NOW]},
        "attempts": {"$cond": [goes_on, {"$add": ["$wait.attempts", 1]}, 1]},
        "patience": {"$literal": patience.value},
    }


def held_under(lease: Lease) -> Document:
    """Return the condition for the record while it is held under the lease."""
    return {"_id": ObjectId(lease.record_id), "fence": lease.fence, "lease_until": {"$exists": True}}
