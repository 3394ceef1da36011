"""Leases of many small deliveries, for bundles: one command claims, renews, finishes or releases all of them."""

from collections.abc import Collection, Mapping, Sequence

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, ConnectionFailure, WriteConcernError

from gridhaul.storage.connect import Document, maps_database_errors
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.storage.lease import DUE_AND_FREE, GONE, NOW, OWN_HINTS, LeasedCollection, held_under
from gridhaul.storage.majority_reads import catch_up
from gridhaul.storage.value_per_record import ids_of
from gridhaul.transfer.bundle import BUNDLED_DELIVERY_BYTES
from gridhaul.transfer.model import Delivery, IfExists, Lease, RecordId
from gridhaul.transfer.states import DELIVERABLE, DeliveryState

PLAIN: Document = {
    "state": {"$in": sorted(DELIVERABLE)},
    "if_exists": IfExists.FAIL.value,
    "length": {"$lte": BUNDLED_DELIVERY_BYTES},
    "fruitless_attempts": 0,
    "leftovers": {"$in": [None, []]},
    "final_touched": {"$ne": True},
    "checked": None,
}
NAME_TAKEN = 11000  # MongoDB's code for a value that a unique index holds already


@maps_database_errors
class MongoBundledDeliveries(LeasedCollection[Delivery, DeliveryState]):
    """The port `transfer.ports.deliveries.BundledDeliveries` on MongoDB."""

    async def claim_plain(self, delivery_ids: Collection[RecordId], *, holder: str) -> Sequence[Delivery]:
        claim_id = ObjectId()
        wanted = ids_of(delivery_ids)
        counts = {name: {"$add": [f"${name}", 1]} for name in ("fence", "attempts", "fruitless_attempts")}
        values = {"state": DeliveryState.STREAMING, "lease_holder": holder, "error": None, "rate": None}
        taken = self._pipeline({**values, "claim_id": claim_id}, **counts, **self._held())
        try:
            await self._write_all({**wanted, **PLAIN, "$expr": DUE_AND_FREE}, taken)
        except (ConnectionFailure, WriteConcernError):  # deliveries may be claimed, although no answer arrived
            await catch_up(self._collection)
        cursor = self._collection.find({**wanted, "claim_id": claim_id}, WITHOUT_HISTORY)
        return [self._codec.decode(document) async for document in cursor]

    async def hold_names(self, leftovers: Mapping[Lease, tuple[str, ...]]) -> frozenset[RecordId]:
        named = {"final_name": "$object_name", "claimed": {"target": "$target", "name": "$object_name"}}
        named |= {"folder": _folder("$object_name"), **self._held()}
        writes = {lease: self._pipeline({"leftovers": names}, **named) for lease, names in leftovers.items()}
        taken = await self._write_each(writes)
        return await self.held(leftovers) - taken

    async def renew_all(self, changes: Mapping[Lease, Mapping[str, object]]) -> frozenset[RecordId]:
        await self._write_each({lease: self._pipeline(dict(own), **self._held()) for lease, own in changes.items()})
        return await self.held(changes)

    async def held(self, leases: Collection[Lease]) -> frozenset[RecordId]:
        fences = {lease.record_id: lease.fence for lease in leases}
        leased = {**ids_of(fences), "lease_until": {"$exists": True}}
        found = {RecordId(str(one["_id"])): one["fence"] async for one in self._collection.find(leased, {"fence": 1})}
        return frozenset(record_id for record_id, fence in found.items() if fence == fences[record_id])

    async def finish_all(self, ended: Mapping[Lease, Mapping[str, object]], to_state: DeliveryState) -> None:
        at_rest = {"$set": self._at_rest(to_state)}
        over = {"lease_until": GONE, "wait": GONE}
        said = {lease: {"state": to_state, "rate": None, **changes} for lease, changes in ended.items()}
        await self._write_each({lease: [*self._pipeline(values, **over), at_rest] for lease, values in said.items()})

    async def release_all(self, leases: Collection[Lease]) -> None:
        fewer = {name: {"$max": [0, {"$subtract": [f"${name}", 1]}]} for name in ("attempts", "fruitless_attempts")}
        times = {"next_attempt_at": NOW, "hint_at": NOW, "hinted_at": GONE, "lease_until": GONE}
        given_back = self._pipeline({"state": DeliveryState.QUEUED, "rate": None}, **fewer, **times)
        await self._write_each(dict.fromkeys(leases, given_back))

    async def _write_each(self, pipelines: Mapping[Lease, list[Document]]) -> frozenset[RecordId]:
        """Write to each record that is held under its lease. Return those that could not have a name they asked for."""
        if not pipelines:
            return frozenset()
        updates = [UpdateOne(held_under(lease), [*stages, OWN_HINTS]) for lease, stages in pipelines.items()]
        records = [lease.record_id for lease in pipelines]
        try:
            await self._collection.bulk_write(updates, ordered=False)
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(one["code"] != NAME_TAKEN for one in failed):
                raise
            return frozenset(records[one["index"]] for one in failed)
        return frozenset()


def _folder(name: str) -> Document:
    """Return an expression for the folder of the object's name; "" is the top."""
    parts = {"$split": [name, "/"]}
    last = {"$strLenBytes": {"$arrayElemAt": [parts, -1]}}
    before_last = {"$subtract": [{"$strLenBytes": name}, {"$add": [last, 1]}]}
    return {"$substrBytes": [name, 0, {"$max": [0, before_last]}]}
