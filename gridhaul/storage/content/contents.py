"""Contents as writers and readers see them: opened with a fence, read verified, deleted when no file refers to them."""

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import cast

from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, database_errors, maps_database_errors
from gridhaul.storage.content.content_ids import new_content_id
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.content.verified_stream import Batch, VerifiedChunks
from gridhaul.storage.content.whole_reading import WholeReading
from gridhaul.storage.lease import GONE, LONGEST_REQUEST_SECONDS, NOW, after, past
from gridhaul.storage.value_per_record import ids_of
from gridhaul.transfer.bundle import CheckedContent
from gridhaul.transfer.errors import LeaseLost, StateConflict
from gridhaul.transfer.model import Content, Queue, RecordId
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
        self._whole = WholeReading(database)

    def new_id(self) -> RecordId:
        return new_content_id()

    async def open(
        self, content_id: RecordId, *, file_id: RecordId, filename: str, content_type: str, length: int, fence: int
    ) -> Content:
        made = self._codec.literals({"filename": filename, "content_type": content_type, "length": length})
        made["refs"] = {"$literal": [ObjectId(file_id)]}
        try:
            document = await self._collection.find_one_and_update(
                {"_id": ObjectId(content_id), "state": {"$nin": [ContentState.DELETING.value]}},
                [
                    {
                        "$set": {
                            **{name: {"$ifNull": [f"${name}", value]} for name, value in made.items()},
                            "state": {"$ifNull": ["$state", ContentState.OPEN.value]},
                            "fence": {"$max": ["$fence", fence]},
                            "created_at": {"$ifNull": ["$created_at", NOW]},
                        }
                    }
                ],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            raise LeaseLost(f"content {content_id} is being deleted") from None
        content = self._codec.decode(cast("Document", document))  # an upsert always returns a document
        if content.fence != fence:
            raise LeaseLost(f"content {content_id}, fence {fence}")
        return content

    async def get(self, content_id: RecordId) -> Content | None:
        document = await self._collection.find_one({"_id": ObjectId(content_id)})
        return self._codec.decode(document) if document else None

    def read(self, content: Content) -> VerifiedChunks:
        if content.state is not ContentState.SEALED:
            raise StateConflict(f"Content {content.id} is not sealed.")
        return VerifiedChunks(content, self._batches(content), lambda page: self._manifest_page(content.id, page))

    async def read_whole(self, content_ids: Collection[RecordId]) -> Mapping[RecordId, CheckedContent]:
        return await self._whole.read(content_ids)

    def _batches(self, content: Content) -> Generator[Batch]:
        layout = self._inline if content.layout is Layout.INLINE else self._gridfs
        with database_errors():
            yield from layout.batches(content)

    def _manifest_page(self, content_id: RecordId, page: int) -> bytes:
        with database_errors():
            return self._manifests.page_in_thread(content_id, page)

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
            if content.layout is Layout.INLINE or not content.length:
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
        await self._manifests.delete(content.id)
