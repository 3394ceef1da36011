"""The hints that are owed for all records, whose turn it is in a queue, and the lease of the dispatcher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pymongo import ReturnDocument

from gridhaul.storage.connect import Collection, Database, Document, maps_database_errors
from gridhaul.storage.lease import GONE, NOW, after, past
from gridhaul.transfer.bundle import BUNDLE_FILES, first_bundle, storing_task
from gridhaul.transfer.model import Hint, Queue, RecordId, TaskName
from gridhaul.transfer.states import OVER, FileState

_FIELDS: Document = dict.fromkeys(("state", "queue", "length", "attempts", "content_id", "token"), 1)
DONE_TOGETHER = frozenset({TaskName.STORE_BUNDLE, TaskName.FINALIZE_FILE})  # of small files, several in one turn


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    collection: Collection
    task: Callable[[Document], TaskName]
    hinted_id: str = "_id"  # the field that a hint carries


_TASK_OF_STATE = {
    FileState.DELETING.value: TaskName.DELETE_FILE,
    FileState.RECEIVING.value: TaskName.EXPIRE_UPLOAD,
}


def _file_task(document: Document) -> TaskName:
    if document["state"] in _TASK_OF_STATE:
        return _TASK_OF_STATE[document["state"]]
    new = document["state"] == FileState.REGISTERED and not document["attempts"] and not document.get("content_id")
    return storing_task(length=document["length"], queue=Queue(document["queue"])) if new else TaskName.UPLOAD_FILE


def _delivery_task(document: Document) -> TaskName:
    return TaskName.CLEAN_DELIVERY if document["state"] in OVER else TaskName.FINALIZE_FILE


def _sources(database: Database) -> tuple[_Source, ...]:
    return (
        _Source(collection=database["files"], task=_file_task),
        _Source(collection=database["deliveries"], task=_delivery_task),
        _Source(collection=database["contents"], task=lambda _: TaskName.SWEEP_CONTENT),
        _Source(collection=database["checks"], task=lambda _: TaskName.RUN_CHECK),
        _Source(collection=database["batches"], task=lambda _: TaskName.RUN_BATCH),
        _Source(collection=database["lanes"], task=lambda _: TaskName.TAKE_DUE, hinted_id="token"),
        _Source(collection=database["targets"], task=lambda _: TaskName.PROBE_TARGET),
    )


@maps_database_errors
class MongoAgenda:
    """The port `transfer.ports.hints.Agenda` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._sources = _sources(database)

    async def due(self, limit: int) -> Sequence[Hint]:
        owed: Document = {"hint_at": {"$exists": True}, "$expr": past("hint_at")}
        return await self._take(owed, "hint_at", limit)

    async def unanswered(self, queue: Queue, limit: int) -> int:
        hinted = {"queue": queue.value, "hinted_at": {"$exists": True}}
        counts = [await source.collection.count_documents(hinted, limit=limit) for source in self._sources]
        return min(limit, sum(counts))

    async def overlooked(self, queue: Queue, limit: int, *, seconds: float) -> Sequence[Hint]:
        long_ago = {"$lte": ["$hinted_at", after(-seconds)]}
        hinted: Document = {"queue": queue.value, "hinted_at": {"$exists": True}, "$expr": long_ago}
        return await self._take(hinted, "hinted_at", limit)

    async def _take(self, condition: Document, time_field: str, limit: int) -> Sequence[Hint]:
        """Mark the records of all collections whose `time_field` is oldest as hinted now. Return their hints."""
        found = [
            (document, source)
            for source in self._sources
            for document in await _find(source, condition, time_field, limit)
        ]
        found.sort(key=lambda pair: pair[0][time_field])
        for source in self._sources:
            taken = [document["_id"] for document, found_in in found[:limit] if found_in is source]
            # Repeat the condition: a record that a worker claimed since the read keeps the times of its lease.
            hinted_now = [{"$set": {"hint_at": GONE, "hinted_at": NOW}}]
            await source.collection.update_many({**condition, "_id": {"$in": taken}}, hinted_now)
        return [_hint(source, document) for document, source in found[:limit]]


@maps_database_errors
class MongoWaitingOwners:
    """The port `transfer.ports.hints.WaitingOwners` on MongoDB."""

    def __init__(self, database: Database) -> None:
        owned = ("files", "deliveries", "lanes")
        self._sources = [source for source in _sources(database) if source.collection.name in owned]

    async def next(self, queue: Queue, *, after: str, instead_of: str) -> tuple[str, Sequence[Hint]] | None:
        for names in ({"$gt": after, "$ne": instead_of}, {"$lte": after, "$ne": instead_of}):
            found = [(one[0], source) for source in self._sources if (one := await _waiting(source, queue, names, 1))]
            if found:
                document, source = min(found, key=lambda pair: (pair[0]["owner"], pair[0]["hinted_at"]))
                return document["owner"], await self._hints(source, document)
        return None

    async def _hints(self, source: _Source, document: Document) -> Sequence[Hint]:
        """Return the record's hint; if such records are done together, also those of the owner's others."""
        hint = _hint(source, document)
        if hint.queue is not Queue.SMALL or hint.task not in DONE_TOGETHER:
            return [hint]
        others = await _waiting(source, hint.queue, document["owner"], BUNDLE_FILES)
        alike = [_Waiting(hint=_hint(source, other), length=other["length"]) for other in others]
        together = first_bundle([one for one in alike if one.hint.task is hint.task])
        return [one.hint for one in together] or [hint]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    hint: Hint
    length: int


@maps_database_errors
class MongoDispatcherLease:
    """The port `transfer.ports.hints.DispatcherLease` on MongoDB."""

    def __init__(self, database: Database, *, holder: str, lease_seconds: float) -> None:
        self._collection = database["dispatcher"]
        self._holder = holder
        self._lease_seconds = lease_seconds

    async def hold(self) -> bool:
        mine_or_free = {"$or": [{"$eq": ["$holder", self._holder]}, past("lease_until")]}
        taken = {"holder": {"$literal": self._holder}, "lease_until": after(self._lease_seconds)}
        document = await self._collection.find_one_and_update(
            {"_id": "dispatcher"},
            [{"$set": {name: {"$cond": [mine_or_free, value, f"${name}"]} for name, value in taken.items()}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        return document is not None and bool(document["holder"] == self._holder)

    async def give_up(self) -> None:
        await self._collection.delete_one({"_id": "dispatcher", "holder": self._holder})


async def _find(source: _Source, condition: Document, time_field: str, limit: int) -> list[Document]:
    cursor = source.collection.find(condition, _FIELDS | {time_field: 1}).sort(time_field, 1).limit(limit)
    return [document async for document in cursor]


async def _waiting(source: _Source, queue: Queue, owner: object, limit: int) -> list[Document]:
    """Return the records of the first owners that meet the condition; of an owner, those hinted longest ago."""
    hinted = {"queue": queue.value, "owner": owner, "hinted_at": {"$exists": True}}
    fields = _FIELDS | {"owner": 1, "hinted_at": 1}
    cursor = source.collection.find(hinted, fields).sort([("owner", 1), ("hinted_at", 1)]).limit(limit)
    return [document async for document in cursor]


def _hint(source: _Source, document: Document) -> Hint:
    record_id = RecordId(str(document[source.hinted_id]))
    return Hint(task=source.task(document), record_id=record_id, queue=Queue(document["queue"]))
