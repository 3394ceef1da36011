"""The changes of files, deliveries and batches in MongoDB, read from indexes on `changed_at`.

There are no change streams, because a standalone `mongod` has none.
"""

import asyncio
import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import structlog
from bson import ObjectId

from gridhaul.storage.batches.batches import IN_LISTS
from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Collection as Documents
from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.history import RECORDS_IN_LISTS, WITHOUT_HISTORY
from gridhaul.storage.listing import DELIVERY_LISTS, FILE_LISTS, Keys, Lists, directed
from gridhaul.storage.majority_reads import catch_up
from gridhaul.storage.schema import CHANGES, CHANGES_OF_OWNER
from gridhaul.transfer.batches import Batch
from gridhaul.transfer.changes import LEAST_ID, Change, Kind, Position, Record
from gridhaul.transfer.model import Delivery, File, RecordId
from gridhaul.transfer.ports.events import Page, Progress
from gridhaul.transfer.states import DeliveryState, FileState

KEYS: Document = {"_id": 1, "revision": 1, "changed_at": 1}  # an index answers with them
NAMES: Mapping[Kind, str] = {Kind.FILE: "files", Kind.DELIVERY: "deliveries", Kind.BATCH: "batches"}
SHOWN: Mapping[Kind, Document] = {Kind.FILE: WITHOUT_HISTORY, Kind.DELIVERY: RECORDS_IN_LISTS, Kind.BATCH: IN_LISTS}
RECEIVED: Document = {"state": FileState.RECEIVING.value}
# Every touch of an upload moves the time of its hint, which is days ahead. So the uploads that are being received come
# last in the index of hints, and those that nobody continues need not be read.
TOUCHED = (("-hint_at",), ("hint_at",))
SOON = timedelta(hours=1)  # hints of other work are due earlier
MADE = [DeliveryState.COMMITTING.value, DeliveryState.STREAMING.value]

log = structlog.get_logger(__name__)


@maps_database_errors
class MongoChanges:
    """The ports `RecentChanges` and `Replays` of `transfer.ports.events` on MongoDB."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._documents = {kind: database[name] for kind, name in NAMES.items()}
        self._codecs: Mapping[Kind, Codec[Any]] = {
            Kind.FILE: Codec[Any](File),
            Kind.DELIVERY: Codec[Any](Delivery),
            Kind.BATCH: Codec[Any](Batch),
        }

    async def horizon(self) -> datetime:
        return _confirmed_until(await self._database.command("hello", codec_options=self._database.codec_options))

    async def begin(self) -> datetime:
        await catch_up(self._documents[Kind.FILE])
        return await self.horizon()

    async def since(self, after: Position, *, owners: Collection[str] | None, limit: int) -> Sequence[Change]:
        wanted = {} if owners is None else {"owner": {"$in": sorted(owners)}}
        of_each = await asyncio.gather(*(self._keys(kind, wanted, after, limit) for kind in Kind))
        return [*heapq.merge(*of_each, key=attrgetter("changed_at", "record_id"))][:limit]

    async def read(self, ids: Mapping[Kind, Collection[RecordId]]) -> Sequence[Record]:
        of_each = await asyncio.gather(*(self._read(kind, some) for kind, some in ids.items() if some))
        return [record for records in of_each for record in records]

    async def page(self, after: Position, *, owner: str | None, limit: int) -> Page:
        wanted = {} if owner is None else {"owner": owner}
        of_each = await asyncio.gather(*(self._changed(kind, wanted, after, limit) for kind in Kind))
        first = [*heapq.merge(*of_each, key=_position)][:limit]
        records = [record for kind, document in first for record in self._decoded(kind, [document])]
        return Page(records=records, next_after=_position(first[-1]) if len(first) == limit else None)

    async def progress(self, *, owners: Collection[str] | None, limit: int) -> Sequence[Progress]:
        theirs: Document = {} if owners is None else {"owner": {"$in": sorted(owners)}}
        files, deliveries = self._documents[Kind.FILE], self._documents[Kind.DELIVERY]
        received, storing, made = await asyncio.gather(
            _newest(files, theirs | RECEIVED | {"hint_at": {"$gt": datetime.now(UTC) + SOON}}, TOUCHED, limit),
            _newest(files, theirs | {"state": FileState.STORING.value}, _list_of(FILE_LISTS, owners), limit),
            _newest(deliveries, theirs | {"state": {"$in": MADE}}, _list_of(DELIVERY_LISTS, owners), limit),
        )
        stored = [_progress(Kind.FILE, one, "stored_bytes") for one in (*received, *storing)]
        return [*stored, *(_progress(Kind.DELIVERY, one, "sent_bytes") for one in made)]

    async def _keys(self, kind: Kind, wanted: Document, after: Position, limit: int) -> list[Change]:
        documents = await _after(self._documents[kind], wanted, after, limit, KEYS)
        return [
            Change(
                kind=kind,
                record_id=RecordId(str(one["_id"])),
                revision=one["revision"],
                changed_at=one["changed_at"],
            )
            for one in documents
        ]

    async def _changed(self, kind: Kind, wanted: Document, after: Position, limit: int) -> list[tuple[Kind, Document]]:
        documents = await _after(self._documents[kind], wanted, after, limit, SHOWN[kind])
        return [(kind, document) for document in documents]

    async def _read(self, kind: Kind, ids: Collection[RecordId]) -> list[Record]:
        wanted = {"_id": {"$in": [ObjectId(record_id) for record_id in ids]}}
        cursor = self._documents[kind].find(wanted, SHOWN[kind], batch_size=len(ids))
        return [*self._decoded(kind, await cursor.to_list())]

    def _decoded(self, kind: Kind, documents: Sequence[Document]) -> Iterator[Record]:
        """Yield the records of the documents.

        A document that cannot be read is left out, so that it holds up no other: it is damaged, or has a state of a
        later version of Gridhaul.
        """
        for document in documents:
            try:
                yield self._codecs[kind].decode(document)
            except Exception:
                log.exception("record_unreadable", kind=kind.value, record_id=str(document["_id"]))


def _confirmed_until(hello: Document) -> datetime:
    """Return until when all writes of a replica set are confirmed by its majority: reads show no others.

    A standalone server confirms each write by itself.
    """
    now: datetime = hello["localTime"]
    written = hello.get("lastWrite", {})
    if written.get("opTime") == written.get("majorityOpTime"):
        return now
    confirmed: datetime = written["majorityWriteDate"]
    return min(now, confirmed)


async def _after(
    documents: Documents, wanted: Document, after: Position, limit: int, fields: Document
) -> list[Document]:
    """Return the first `limit` documents after the position, in the order of positions."""
    index = directed(CHANGES_OF_OWNER if wanted else CHANGES)
    found: list[Document] = []
    for part in _parts(after):
        left = limit - len(found)
        if left:
            cursor = documents.find(wanted | part, fields, limit=left, batch_size=left)
            found += await cursor.sort([("changed_at", 1), ("_id", 1)]).hint(index).to_list()
    return found


def _parts(after: Position) -> Iterator[Document]:
    """Yield the conditions for documents after the position, each of which is one range of an index.

    Thousands of records that one command changed have the same time.
    """
    if after.record_id > LEAST_ID:
        yield {"changed_at": after.time, "_id": {"$gt": ObjectId(after.record_id)}}
        yield {"changed_at": {"$gt": after.time}}
    else:
        yield {"changed_at": {"$gte": after.time}}


def _position(found: tuple[Kind, Document]) -> Position:
    document = found[1]
    return Position.of(document["changed_at"], RecordId(str(document["_id"])))


def _list_of(lists: Lists, owners: Collection[str] | None) -> tuple[Keys, Keys]:
    """Return the order of the newest records of some states, and the index that has it."""
    index = lists.everybody if owners is None else lists.owner
    return index.order, index.keys


async def _newest(
    documents: Documents, wanted: Document, order_and_index: tuple[Keys, Keys], limit: int
) -> list[Document]:
    """Return the first `limit` documents in the order, with the fields that tell how far they are."""
    order, index = map(directed, order_and_index)
    fields = {"stored_bytes": 1, "sent_bytes": 1, "checked_bytes": 1}
    return await documents.find(wanted, fields, limit=limit, batch_size=limit).sort(order).hint(index).to_list()


def _progress(kind: Kind, document: Document, moved: str) -> Progress:
    moved_bytes = document.get(moved, 0) + document.get("checked_bytes", 0)
    return Progress(kind=kind, record_id=RecordId(str(document["_id"])), moved_bytes=moved_bytes)
