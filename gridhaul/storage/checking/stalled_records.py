"""Stalled records: stale leases, work that no worker is told of, and names that ended deliveries still claim.

Each repair repeats the condition under which the record was found, so it changes no record that has changed since. All
times are the database server's.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from bson import ObjectId

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.storage.lease import GONE, NOW, after
from gridhaul.transfer.checks import RUNNABLE
from gridhaul.transfer.model import File, Queue, RecordId
from gridhaul.transfer.ports.checking import RecordKind, StalledRecord
from gridhaul.transfer.states import DELIVERABLE, OVER, STORABLE, ContentState, FileState

WAITING_STATES: Mapping[RecordKind, frozenset[Any]] = {
    RecordKind.FILE: STORABLE | {FileState.DELETING},
    RecordKind.DELIVERY: DELIVERABLE,
    RecordKind.CONTENT: frozenset({ContentState.DELETING}),
    RecordKind.CHECK: RUNNABLE,
}
# A batch owes the hints of its members, and learns from no field of a member whether a lease has ended.
NOT_HINTED_BY_BATCH: Document = {"$nor": [{"batch_id": {"$exists": True}, "queue": {"$ne": Queue.MAINTENANCE.value}}]}
NOBODY_TOLD: Document = {"hint_at": {"$exists": False}, "hinted_at": {"$exists": False}}


@maps_database_errors
class MongoStalledRecords:
    """The port `transfer.ports.checking.StalledRecords` on MongoDB."""

    def __init__(self, database: Database, *, sweep_seconds: float) -> None:
        self._database = database
        self._files = database["files"]
        self._codec = Codec(File)
        self._long_ago = after(-sweep_seconds)

    async def stored_files(self, *, after: str, limit: int) -> list[File]:
        wanted: Document = {"state": FileState.STORED.value}
        if after:
            wanted["_id"] = {"$gt": ObjectId(after)}
        cursor = self._files.find(wanted, WITHOUT_HISTORY).sort("_id", 1).limit(limit)
        return [self._codec.decode(document) async for document in cursor]

    def stale_leases(self, only: File | None) -> AsyncGenerator[StalledRecord]:
        return self._find(tuple(RecordKind), self._stale_lease, only)

    def off_agenda(self, only: File | None) -> AsyncGenerator[StalledRecord]:
        return self._find(tuple(RecordKind), _off_agenda, only)

    def stale_claims(self, only: File | None) -> AsyncGenerator[StalledRecord]:
        return self._find((RecordKind.DELIVERY,), lambda _: _stale_claim(), only)

    async def end_lease(self, found: StalledRecord) -> bool:
        waits = {"$in": ["$state", sorted(WAITING_STATES[found.kind])]}
        due = {name: {"$cond": [waits, NOW, f"${name}"]} for name in ("next_attempt_at", "hint_at")}
        return await self._change(found, self._stale_lease(found.kind), {"lease_until": GONE, **due})

    async def put_on_agenda(self, found: StalledRecord) -> bool:
        leased = {"$gt": ["$lease_until", NOW]}
        due = {
            "hint_at": {"$cond": [leased, "$lease_until", NOW]},
            "next_attempt_at": {"$ifNull": ["$next_attempt_at", NOW]},
            "queue": {"$ifNull": ["$queue", Queue.MAINTENANCE.value]},
        }
        return await self._change(found, _off_agenda(found.kind), due)

    async def end_claim(self, found: StalledRecord) -> bool:
        return await self._change(found, _stale_claim(), {"claimed": GONE})

    async def _find(
        self, kinds: tuple[RecordKind, ...], condition: Any, only: File | None
    ) -> AsyncGenerator[StalledRecord]:
        for kind in kinds:
            scope = _scope(kind, only)
            if scope is None:
                continue
            fields = {"state": 1, "file_id": 1}
            async for document in self._database[kind.value].find({**scope, **condition(kind)}, fields):
                yield _stalled_record(kind, document)

    async def _change(self, found: StalledRecord, condition: Document, changes: Document) -> bool:
        same = {"_id": ObjectId(found.id), "state": found.state, **condition}
        changed = await self._database[found.kind.value].update_one(same, [{"$set": changes}])
        return bool(changed.modified_count)

    def _stale_lease(self, kind: RecordKind) -> Document:
        """Return the condition for stale leases, only of records that wait for a worker.

        A paused delivery may keep a lease that has ended (`lease_left`): such a lease is not stale.
        """
        never_or_long_ago = {"$lte": [{"$ifNull": ["$hint_at", self._long_ago]}, self._long_ago]}
        ended = {"$lte": ["$lease_until", self._long_ago]}
        return {
            "lease_until": {"$exists": True},
            "hinted_at": {"$exists": False},
            "$or": _waits(kind),
            **NOT_HINTED_BY_BATCH,
            "$expr": {"$and": [ended, never_or_long_ago]},
        }


def _off_agenda(kind: RecordKind) -> Document:
    """Return the condition for records off the agenda, only of records without a lease.

    While a lease lives, a hint is owed at its end; a lease that ended long ago is found as a stale lease.
    """
    return {"lease_until": {"$exists": False}, "$or": _waits(kind), **NOBODY_TOLD, **NOT_HINTED_BY_BATCH}


def _waits(kind: RecordKind) -> list[Document]:
    """Return conditions; a worker has something to do for every record that meets one of them."""
    waits: list[Document] = [{"state": {"$in": sorted(WAITING_STATES[kind])}}, {"next_attempt_at": {"$exists": True}}]
    if kind is RecordKind.DELIVERY:
        waits.append({"state": {"$in": sorted(OVER)}, "leftovers.0": {"$exists": True}})
    return waits


def _stale_claim() -> Document:
    left = {"$in": ["$final_name", {"$ifNull": ["$leftovers", []]}]}
    return {"claimed": {"$exists": True}, "state": {"$in": sorted(OVER)}, "$expr": {"$not": [left]}}


def _scope(kind: RecordKind, only: File | None) -> Document | None:
    """Return the condition for the file's records of the kind, or None if the file has no such records."""
    if only is None:
        return {}
    if kind is RecordKind.FILE:
        return {"_id": ObjectId(only.id)}
    if kind is RecordKind.DELIVERY:
        return {"file_id": ObjectId(only.id)}
    return {"_id": ObjectId(only.content_id)} if kind is RecordKind.CONTENT and only.content_id else None


def _stalled_record(kind: RecordKind, document: Document) -> StalledRecord:
    record_id = RecordId(str(document["_id"]))
    of_file = record_id if kind is RecordKind.FILE else document.get("file_id")
    file_id = RecordId(str(of_file)) if of_file else None
    return StalledRecord(kind=kind, id=record_id, state=document["state"], file_id=file_id)
