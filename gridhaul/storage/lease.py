"""Leases with fences, on the server's time (`$$NOW`, which exists only in pipeline updates and `$expr`).

Two fields drive the dispatcher: `next_attempt_at`, from when a record may be claimed, and `hint_at`, when somebody has
to be told of it (see docs/adr/0002). A live lease sets `hint_at` to its own end, so a lost worker is noticed at once.
"""

from typing import Any, ClassVar, Generic, TypeVar

from bson import ObjectId
from pymongo import ReturnDocument

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Collection, Document, maps_database_errors
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import Lease, RecordId

R = TypeVar("R")
S = TypeVar("S", bound=str)

NOW = "$$NOW"
GONE = "$$REMOVE"
HINT_AGAIN_SECONDS = 60.0


def after(seconds: float) -> Document:
    """The server's time in `seconds`, as an expression."""
    return {"$dateAdd": {"startDate": NOW, "unit": "millisecond", "amount": round(seconds * 1000)}}


def past(field: str) -> Document:
    """Whether the time in `field` has come, or there is none, as an expression."""
    return {"$lte": [f"${field}", NOW]}


DUE_AND_FREE: Document = {"$and": [past("next_attempt_at"), past("lease_until")]}


@maps_database_errors
class LeasedCollection(Generic[R, S]):
    """`transfer.ports.LeasedRecords` on one collection."""

    released_when_finished: ClassVar[tuple[str, ...]] = ()

    def __init__(self, collection: Collection, codec: Codec[R], *, lease_seconds: float) -> None:
        self._collection = collection
        self._codec = codec
        self._lease_seconds = lease_seconds

    async def get(self, record_id: RecordId) -> R | None:
        document = await self._collection.find_one({"_id": ObjectId(record_id)})
        return self._codec.decode(document) if document else None

    async def claim(self, record_id: RecordId, *, holder: str, from_states: frozenset[S], to_state: S) -> R | None:
        document = await self._collection.find_one_and_update(
            {"_id": ObjectId(record_id), "state": {"$in": sorted(from_states)}, "$expr": DUE_AND_FREE},
            self._pipeline(
                {"state": to_state, "lease_holder": holder, "error": None, "rate": None},
                fence={"$add": ["$fence", 1]},
                attempts={"$add": ["$attempts", 1]},
                fruitless_attempts={"$add": ["$fruitless_attempts", 1]},
                **self._held(),
            ),
            return_document=ReturnDocument.AFTER,
        )
        return self._codec.decode(document) if document else None

    async def renew(self, lease: Lease, **changes: object) -> None:
        await self._write(lease, self._pipeline(changes, **self._held()))

    async def release(self, lease: Lease, to_state: S, *, delay_seconds: float, **changes: object) -> None:
        due = after(delay_seconds)
        values = {"state": to_state, "rate": None, **changes}
        await self._write(lease, self._pipeline(values, next_attempt_at=due, hint_at=due, lease_until=GONE))

    async def finish(self, lease: Lease, to_state: S, **changes: object) -> None:
        over = dict.fromkeys(("lease_until", *self.released_when_finished), GONE)
        then = self._when_finished(to_state)
        values = {"state": to_state, "rate": None, **changes}
        await self._write(lease, self._pipeline(values, next_attempt_at=then, hint_at=then, **over))

    def _when_finished(self, to_state: S) -> Any:
        """When a worker has to look at a record again that reached this state, as an expression; normally never."""
        return GONE

    def _held(self) -> Document:
        end = after(self._lease_seconds)
        return {"lease_until": end, "hint_at": end}

    def _pipeline(self, values: dict[str, Any], **expressions: Any) -> list[Document]:
        return [{"$set": {**self._codec.literals(values), "updated_at": NOW, **expressions}}]

    async def _write(self, lease: Lease, pipeline: list[Document]) -> None:
        """Write under the fence; a lease that ended but was taken by nobody still counts."""
        mine = {"_id": ObjectId(lease.record_id), "fence": lease.fence, "lease_until": {"$exists": True}}
        result = await self._collection.update_one(mine, pipeline)
        if not result.matched_count:
            raise LeaseLost(f"record {lease.record_id}, fence {lease.fence}")
