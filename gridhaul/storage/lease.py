"""Leases with fences, on the server's time (`$$NOW`, which exists only in pipeline updates and `$expr`).

A record may be claimed from `next_attempt_at` on. Two more fields drive the dispatcher (docs/adr/0002): `hint_at`, from
when on a hint is owed, and `hinted_at`, when one was given that nobody has acted on. A live lease owes one at its end.
"""

from typing import Any, ClassVar, Generic, TypeVar

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import ConnectionFailure

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Collection, Document, maps_database_errors
from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import Lease, RecordId

R = TypeVar("R")
S = TypeVar("S", bound=str)

NOW = "$$NOW"
GONE = "$$REMOVE"


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
        claim_id = ObjectId()
        taken = self._pipeline(
            {"state": to_state, "lease_holder": holder, "claim_id": claim_id, "error": None, "rate": None},
            **{name: {"$add": [f"${name}", 1]} for name in ("fence", "attempts", "fruitless_attempts")},
            **self._held(),
        )
        claimable = {"_id": ObjectId(record_id), "state": {"$in": sorted(from_states)}, "$expr": DUE_AND_FREE}
        try:
            document = await self._collection.find_one_and_update(
                claimable, taken, return_document=ReturnDocument.AFTER
            )
        except ConnectionFailure:  # the answer may be lost, but not the claim
            document = await self._collection.find_one({"_id": ObjectId(record_id), "claim_id": claim_id})
        return self._codec.decode(document) if document else None

    async def renew(self, lease: Lease, **changes: object) -> None:
        await self._write(lease, self._pipeline(changes, **self._held()))

    async def release(self, lease: Lease, to_state: S, *, delay_seconds: float, **changes: object) -> None:
        due = after(delay_seconds)
        values = {"state": to_state, "rate": None, **changes}
        times = {"next_attempt_at": due, "hint_at": due, "hinted_at": GONE, "lease_until": GONE}
        await self._write(lease, self._pipeline(values, **times))

    async def finish(self, lease: Lease, to_state: S, **changes: object) -> None:
        over = dict.fromkeys(("hinted_at", "lease_until", *self.released_when_finished), GONE)
        then = self._when_finished(to_state)
        values = {"state": to_state, "rate": None, **changes}
        await self._write(lease, self._pipeline(values, next_attempt_at=then, hint_at=then, **over))

    def _when_finished(self, to_state: S) -> Any:
        """When a worker has to look at a record again that reached this state, as an expression; normally never."""
        return GONE

    def _held(self) -> Document:
        end = after(self._lease_seconds)
        return {"lease_until": end, "hint_at": end, "hinted_at": GONE}

    def _pipeline(self, values: dict[str, Any], **expressions: Any) -> list[Document]:
        return [{"$set": {**self._codec.literals(values), "updated_at": NOW, **expressions}}]

    async def _write(self, lease: Lease, pipeline: list[Document]) -> None:
        """Write under the fence; a lease that ended but was taken by nobody still counts."""
        mine = {"_id": ObjectId(lease.record_id), "fence": lease.fence, "lease_until": {"$exists": True}}
        result = await self._collection.update_one(mine, pipeline)
        if not result.matched_count:
            raise LeaseLost(f"record {lease.record_id}, fence {lease.fence}")
