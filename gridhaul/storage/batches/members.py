"""The members of a batch in MongoDB, many at a time: registered, found when they are due, moved, counted."""

from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Collection as Documents
from gridhaul.storage.connect import Database, Document, maps_database_errors, server_time
from gridhaul.storage.content.inserting import doubles
from gridhaul.storage.counting import count_by_state
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.files import MongoFiles
from gridhaul.storage.history import WITHOUT_HISTORY
from gridhaul.storage.lease import DUE_AND_FREE, NOW
from gridhaul.storage.listing import DELIVERY_LISTS, FILE_LISTS, directed
from gridhaul.transfer.batches import (
    OPEN_DELIVERIES,
    OPEN_FILES,
    Counts,
    StoredMember,
)
from gridhaul.transfer.model import File, NewFile, Queue, RecordId
from gridhaul.transfer.ports.batches import DueDelivery, DueMembers
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, FILE_MOVES, Action, DeliveryState, FileState

NAMES_OF_BATCH = [("batch_id", 1), ("name", 1)]
# Without this hint MongoDB may read files of other batches in the order of their ids.
STATES_OF_BATCH = directed(FILE_LISTS.batch.keys)
FAILURES_READ = 10_000  # FAILED members whose codes are counted; of more, nobody reads every one


@maps_database_errors
class MongoMembers:
    """The port `transfer.ports.batches.Members` on MongoDB."""

    def __init__(self, database: Database, files: MongoFiles, deliveries: MongoDeliveries) -> None:
        self._database = database
        self._files_port = files
        self._deliveries_port = deliveries
        self._files = database["files"]
        self._deliveries = database["deliveries"]
        self._codec = Codec(File)

    async def insert(self, new: Sequence[NewFile]) -> Sequence[NewFile | None]:
        made = self._files_port.registrations(new)
        there = set(await doubles(self._files.bulk_write(made, ordered=False)) if made else ())
        return [file if at in there else None for at, file in enumerate(new)]

    async def registered_paths(self, batch_id: RecordId, paths: Collection[str]) -> frozenset[str]:
        wanted = {"batch_id": ObjectId(batch_id), "path": {"$in": [*paths]}}
        return frozenset([one["path"] async for one in self._files.find(wanted, {"_id": 0, "path": 1})])

    async def due(self, batch_id: RecordId, queue: Queue, *, limit: int) -> DueMembers:
        wanted = _owed(batch_id, queue) | {"$expr": DUE_AND_FREE}
        found = _first(self._deliveries, wanted, limit, {"length": 1, "state": 1})
        deliveries = [_due_delivery(one) async for one in found]
        if deliveries:
            return DueMembers(deliveries=deliveries)
        files = [one async for one in _first(self._files, wanted, limit, WITHOUT_HISTORY)]
        return DueMembers(files=[self._codec.decode(one) for one in files])

    async def next_due(self, batch_id: RecordId, queue: Queue) -> datetime | None:
        times = [await self._next(documents, batch_id, queue) for documents in (self._deliveries, self._files)]
        return min((time for time in times if time is not None), default=None)

    async def _next(self, documents: Documents, batch_id: RecordId, queue: Queue) -> datetime | None:
        """Return the time since which a member is due, else the earliest end of a lease or of a pause between attempts.

        If no member is due, all those whose time has come are leased, and few members are leased at once.
        """
        owed = _owed(batch_id, queue)
        due, later = {"$expr": DUE_AND_FREE}, {"$expr": {"$gt": ["$next_attempt_at", NOW]}}
        async for one in _first(documents, owed | due, 1, {"next_attempt_at": 1}):
            since: datetime = one["next_attempt_at"]
            return since
        waiting = [one["next_attempt_at"] async for one in _first(documents, owed | later, 1, {"next_attempt_at": 1})]
        leased = owed | {"$expr": {"$and": [{"$lte": ["$next_attempt_at", NOW]}, {"$gt": ["$lease_until", NOW]}]}}
        ends = [one["lease_until"] async for one in documents.find(leased, {"lease_until": 1})]
        return min([*waiting, *ends], default=None)

    async def any_open(self, batch_id: RecordId) -> bool:
        mine = {"batch_id": ObjectId(batch_id)}
        # The queues let the index of due members serve this look.
        owing = {"queue": {"$in": sorted(Queue)}, "next_attempt_at": {"$exists": True}, "state": FileState.STORED.value}
        for wanted, documents in (
            (mine | {"state": {"$in": OPEN_FILES}}, self._files),
            (mine | owing, self._files),
            (mine | {"state": {"$in": OPEN_DELIVERIES}}, self._deliveries),
        ):
            if await documents.find_one(wanted, {"_id": 1}) is not None:
                return True
        return False

    async def any_deliverable(self, batch_id: RecordId) -> bool:
        return bool(await self._in_states(self._deliveries, batch_id, DELIVERABLE, 1))

    async def follow(self, batch_id: RecordId, action: Action, *, who: str | None, limit: int) -> int:
        file_move, delivery_move = FILE_MOVES[action], DELIVERY_MOVES[action]
        moved = 0
        if action is not Action.RETRY:
            ids = await self._in_states(self._files, batch_id, file_move.from_states, limit)
            moved += await self._files_port.move_all(ids, file_move, who=who)
        ids = await self._in_states(self._deliveries, batch_id, delivery_move.from_states, limit)
        return moved + await self._deliveries_port.move_all(ids, delivery_move, who=who)

    async def retry_cancelled(self, batch_id: RecordId, *, limit: int) -> int:
        ids = await self._in_states(self._deliveries, batch_id, {DeliveryState.CANCELLED}, limit)
        return await self._deliveries_port.move_all(ids, DELIVERY_MOVES[Action.RETRY], who=None)

    async def retry_unchanged(self, file_ids: Sequence[RecordId]) -> int:
        return await self._files_port.move_all(file_ids, FILE_MOVES[Action.RETRY], who=None)

    async def failed_files(self, batch_id: RecordId, *, after: RecordId | None, limit: int) -> Sequence[File]:
        wanted: Document = {
            "batch_id": ObjectId(batch_id),
            "state": {"$in": sorted(FILE_MOVES[Action.RETRY].from_states)},
        }
        if after is not None:
            wanted["_id"] = {"$lt": ObjectId(after)}
        cursor = self._files.find(wanted, WITHOUT_HISTORY).sort("_id", -1).hint(STATES_OF_BATCH).limit(limit)
        return [self._codec.decode(one) async for one in cursor]

    async def counts(self, batch_id: RecordId) -> Counts:
        mine = {"batch_id": ObjectId(batch_id)}
        files = await count_by_state(self._files, mine, directed(FILE_LISTS.batch.keys))
        deliveries = await count_by_state(self._deliveries, mine, directed(DELIVERY_LISTS.batch.keys))
        failures: dict[str, int] = {}
        for documents, groups in ((self._files, files), (self._deliveries, deliveries)):
            if FileState.FAILED in groups:
                await _add_codes(failures, documents, batch_id)
        counted_at = await server_time(self._database)
        return Counts(files=files, deliveries=deliveries, failures=failures, skipped={}, counted_at=counted_at)

    async def stored(self, batch_id: RecordId) -> AsyncGenerator[StoredMember]:
        stored = {"batch_id": ObjectId(batch_id), "state": FileState.STORED.value}
        fields = {"_id": 0, "name": 1, "sha256": 1, "length": 1}
        async for one in self._files.find(stored, fields).sort("name", 1).hint(NAMES_OF_BATCH):
            yield StoredMember(**one)

    async def _in_states(
        self, documents: Documents, batch_id: RecordId, states: Iterable[str], limit: int
    ) -> list[RecordId]:
        wanted = {"batch_id": ObjectId(batch_id), "state": {"$in": sorted(states)}}
        return [RecordId(str(one["_id"])) async for one in documents.find(wanted, {"_id": 1}).limit(limit)]


def _due_delivery(document: Document) -> DueDelivery:
    return DueDelivery(
        id=RecordId(str(document["_id"])), length=document["length"], state=DeliveryState(document["state"])
    )


def _owed(batch_id: RecordId, queue: Queue) -> Document:
    return {"batch_id": ObjectId(batch_id), "queue": queue.value, "next_attempt_at": {"$exists": True}}


def _first(documents: Documents, wanted: Document, limit: int, fields: Document) -> Any:
    return documents.find(wanted, fields).sort("next_attempt_at", 1).limit(limit)


async def _add_codes(failures: dict[str, int], documents: Documents, batch_id: RecordId) -> None:
    failed = {"batch_id": ObjectId(batch_id), "state": FileState.FAILED.value}
    async for one in documents.find(failed, {"_id": 0, "error.code": 1}).limit(FAILURES_READ):
        code = (one.get("error") or {}).get("code", "unknown")
        failures[code] = failures.get(code, 0) + 1
