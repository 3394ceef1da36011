"""Contents as writers and readers see them: opened with a fence, read verified, deleted when no file refers to them."""

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import cast

from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, database_errors, maps_database_errors
from gridhaul.storage.content.checked_manifests import CheckedManifests
from gridhaul.storage.content.content_ids import new_content_id
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.content.tails import Tails
from gridhaul.storage.content.verified_stream import Batch, VerifiedChunks, verified_content, verified_range
from gridhaul.storage.content.whole_reading import WholeReading
from gridhaul.storage.lease import GONE, LONGEST_REQUEST_SECONDS, NOW, after, past
from gridhaul.storage.value_per_record import ids_of
from gridhaul.transfer.bundle import CheckedContent
from gridhaul.transfer.chunking import CHUNK_BYTES, chunks_of_range
from gridhaul.transfer.errors import LeaseLost, StateConflict
from gridhaul.transfer.model import Content, Queue, RecordId, Tail
from gridhaul.transfer.states import ContentState, Layout

_NEVER_OPENED: Document = {"filename": "", "content_type": "", "length": 0, "fence": 0, "created_at": NOW}


@maps_database_errors
class MongoContents:
    """The port `transfer.ports.contents.Contents` on MongoDB.

    `sweep_seconds` is the longest time after the delete of a content in which segments of it may still arrive.

    With `few_readers`, MongoDB sends chunks without being asked for more. This is faster, but each reader keeps a
    connection and 4 MiB of MongoDB's memory, however slowly it reads. So only a few may read at once.
    """

    def __init__(
        self, database: Database, *, sweep_seconds: float = LONGEST_REQUEST_SECONDS, few_readers: bool = False
    ) -> None:
        self._collection = database["contents"]
        self._sweep_seconds = sweep_seconds
        self._codec = Codec(Content)
        self._inline = InlineLayout(database)
        self._gridfs = GridFSLayout(database, few_readers=few_readers)
        self._manifests = Manifests(database)
        self._tails = Tails(database)
        self._checked_manifests = CheckedManifests(self._manifests)
        self._whole = WholeReading(database)

    def new_id(self) -> RecordId:
        return new_content_id()

    async def open(
        self, content_id: RecordId, *, file_id: RecordId, filename: str, content_type: str, length: int, fence: int
    ) -> Content:
        made = self._codec.literals({"filename": filename, "content_type": content_type, "length": length})
        return await self._open(content_id, file_id, fence, {name: _unless_set(name, made[name]) for name in made})

    async def open_upload(
        self,
        content_id: RecordId,
        *,
        file_id: RecordId,
        filename: str,
        content_type: str,
        length: int | None,
        fence: int,
    ) -> Content:
        made = self._codec.literals({"filename": filename, "content_type": content_type})
        fields: Document = {name: _unless_set(name, made[name]) for name in made}
        fields |= {"replaceable": True, "layout": {"$ifNull": ["$layout", Layout.GRIDFS.value]}}
        if length is None:
            is_new = {"$eq": [{"$type": "$state"}, "missing"]}
            fields |= {"length": _unless_set("length", 0), "open_ended": {"$cond": [is_new, True, "$open_ended"]}}
        else:
            fields |= {"length": {"$cond": ["$open_ended", length, _unless_set("length", length)]}, "open_ended": False}
        return await self._open(content_id, file_id, fence, fields)

    async def tail(self, content_id: RecordId) -> Tail | None:
        return await self._tails.get(content_id)

    async def _open(self, content_id: RecordId, file_id: RecordId, fence: int, fields: Document) -> Content:
        """Make the content with these fields, or take it over with a higher fence."""
        try:
            document = await self._collection.find_one_and_update(
                {
                    "_id": ObjectId(content_id),
                    "state": {"$nin": [ContentState.DELETING.value]},
                    "fence": {"$not": {"$gt": fence}},
                },
                [
                    {
                        "$set": {
                            **fields,
                            "refs": {"$ifNull": ["$refs", {"$literal": [ObjectId(file_id)]}]},
                            "state": {"$ifNull": ["$state", ContentState.OPEN.value]},
                            "fence": fence,
                            "created_at": {"$ifNull": ["$created_at", NOW]},
                        }
                    }
                ],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            raise LeaseLost(f"content {content_id} is being deleted, or has a higher fence than {fence}") from None
        return self._codec.decode(cast("Document", document))  # an upsert always returns a document

    async def get(self, content_id: RecordId) -> Content | None:
        document = await self._collection.find_one({"_id": ObjectId(content_id)})
        return self._codec.decode(document) if document else None

    def read(self, content: Content) -> VerifiedChunks:
        _require_sealed(content)
        batches = self._batches(content)
        return verified_content(content, batches, lambda page: self._manifest_page(content.id, page))

    def read_range(self, content: Content, *, start: int, stop: int) -> VerifiedChunks:
        """Return what `transfer.ports.contents.ContentReading.read_range` says.

        The first range of a content waits until its whole manifest was checked; see `CheckedManifests`.
        """
        _require_sealed(content)
        batches = self._chunk_by_chunk(content, chunks_of_range(start, stop))
        return verified_range(content, batches, lambda page: self._checked_page(content, page), start=start, stop=stop)

    def read_open(self, content: Content, *, first: int = 0) -> VerifiedChunks:
        rest = range(first, content.chunk_count)
        batches = self._chunk_by_chunk(content, rest) if first else self._batches(content)
        start = first * CHUNK_BYTES
        return verified_range(
            content, batches, lambda page: self._stored_digests(content, page), start=start, stop=content.length
        )

    async def read_whole(self, content_ids: Collection[RecordId]) -> Mapping[RecordId, CheckedContent]:
        return await self._whole.read(content_ids)

    def _batches(self, content: Content) -> Generator[Batch]:
        with database_errors():
            yield from self._layout_in_thread(content).batches(content)

    def _chunk_by_chunk(self, content: Content, numbers: range) -> Generator[Batch]:
        with database_errors():
            yield from self._layout_in_thread(content).chunk_by_chunk(content, numbers)

    def _manifest_page(self, content_id: RecordId, page: int) -> bytes:
        with database_errors():
            return self._manifests.page_in_thread(content_id, page)

    def _stored_digests(self, content: Content, page: int) -> bytes:
        with database_errors():
            return self._layout_in_thread(content).digests_in_thread(content.id, page)

    def _layout_in_thread(self, content: Content) -> InlineLayout | GridFSLayout:
        """Return the layout that has the chunks. For threads.

        A content that is not sealed may name no layout, although its chunks are stored inline: a crash may have
        followed the insert of the inline document, before the layout was noted in the content.
        """
        if content.layout is None and self._inline.digests_in_thread(content.id, 0):
            return self._inline
        return self._inline if content.layout is Layout.INLINE else self._gridfs

    def _checked_page(self, content: Content, page: int) -> bytes:
        with database_errors():
            return self._checked_manifests.page(content, page)

    async def drop_ref(self, content_id: RecordId, file_id: RecordId) -> None:
        document = await self._collection.find_one_and_update(
            {"_id": ObjectId(content_id)},
            self._dropped(file_id, sweep_hinted=True),
            # If the content does not exist, note its delete: a worker that has lost the file may be about to make it.
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        if document and document["state"] == ContentState.DELETING:
            await self._delete_bytes(self._codec.decode(document))

    async def drop_refs(self, refs: Mapping[RecordId, RecordId]) -> None:
        dropped = [
            UpdateOne({"_id": ObjectId(content_id)}, self._dropped(file_id, sweep_hinted=False), upsert=True)
            for content_id, file_id in refs.items()
        ]
        if dropped:
            await self._collection.bulk_write(dropped, ordered=False)
            await self._delete_all_bytes({**ids_of(refs), "state": ContentState.DELETING.value})

    async def sweep_all(self, content_ids: Collection[RecordId]) -> None:
        time_to_sweep = {"state": ContentState.DELETING.value, "$expr": past("next_attempt_at")}
        swept = await self._delete_all_bytes({**ids_of(content_ids), **time_to_sweep})
        # Other contents whose time has come since the look keep their records: their late bytes are still there.
        await self._collection.delete_many({**ids_of(swept), **time_to_sweep})

    def _dropped(self, file_id: RecordId, *, sweep_hinted: bool) -> list[Document]:
        sweep_at = after(self._sweep_seconds)
        left: Document = {"$setDifference": [{"$ifNull": ["$refs", []]}, [ObjectId(file_id)]]}
        none_left: Document = {"$eq": [left, []]}
        return [
            {
                "$set": {
                    **{name: {"$ifNull": [f"${name}", value]} for name, value in _NEVER_OPENED.items()},
                    "refs": left,
                    "state": {"$cond": [none_left, ContentState.DELETING.value, "$state"]},
                    "queue": Queue.MAINTENANCE.value,
                    "hint_at": {"$cond": [none_left, sweep_at, GONE]} if sweep_hinted else GONE,
                    "next_attempt_at": {"$cond": [none_left, sweep_at, GONE]},
                }
            }
        ]

    async def abandon(self, content: Content) -> bool:
        sweep_at = after(self._sweep_seconds)
        unchanged = {"_id": ObjectId(content.id), "state": content.state.value, "fence": content.fence}
        given_up = {"refs": [], "state": ContentState.DELETING.value, "queue": Queue.MAINTENANCE.value}
        document = await self._collection.find_one_and_update(
            unchanged, [{"$set": {**given_up, "hint_at": sweep_at, "next_attempt_at": sweep_at}}]
        )
        if document is not None:
            await self._delete_bytes(content)
        return document is not None

    async def sweep(self, content_id: RecordId) -> None:
        time_to_sweep = {
            "_id": ObjectId(content_id),
            "state": ContentState.DELETING.value,
            "$expr": past("next_attempt_at"),
        }
        document = await self._collection.find_one(time_to_sweep)
        if document:
            await self._delete_bytes(self._codec.decode(document))
            await self._collection.delete_one(time_to_sweep)

    async def _delete_all_bytes(self, wanted: Document) -> Sequence[RecordId]:
        """Delete the bytes of the wanted contents: those of inline contents together, any other's by themselves.

        Return the ids of the contents.
        """
        inline, others = list[RecordId](), list[RecordId]()
        async for document in self._collection.find(wanted):
            content = self._codec.decode(document)
            if not content.replaceable and (content.layout is Layout.INLINE or not content.length):
                inline.append(content.id)
            else:
                others.append(content.id)
                await self._delete_bytes(content)
        await self._inline.delete_all(inline)
        await self._manifests.delete_all_of_one_page(inline)
        return [*inline, *others]

    async def _delete_bytes(self, content: Content) -> None:
        await self._gridfs.delete(content.id, content.chunk_count)
        await self._inline.delete(content.id)
        await self._tails.delete(content.id)
        await self._manifests.delete(content.id)


def _unless_set(name: str, value: object) -> Document:
    """Return an expression for the field's value, or for the given one if the field does not exist."""
    return {"$ifNull": [f"${name}", value]}


def _require_sealed(content: Content) -> None:
    if content.state is not ContentState.SEALED:
        raise StateConflict(f"Content {content.id} is not sealed.")
