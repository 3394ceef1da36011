"""Stored bytes that no record refers to: found through indexes, id by id, and removed.

A file names its content before the content's record is made, and the record is made before the chunks. Therefore an id
that was found first, and has no record when the records are read afterwards, never gets a record again. Ids that are
younger than the longest request are left out. Only bytes that Gridhaul wrote count: chunks of other users of the GridFS
bucket have no digests.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from bson import MaxKey, ObjectId
from pymongo import ASCENDING

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Collection, Database, Document, maps_database_errors, server_time
from gridhaul.storage.content.content_ids import creation_time
from gridhaul.storage.lease import after
from gridhaul.storage.majority_reads import read_with_catch_up
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import BYTES_GONE, ContentState

REMOVED_AT_ONCE = 256

OURS_IN_BUCKET: Document = {"metadata.manifestRoot": {"$exists": True}}
OURS_IN_CHUNKS: Document = {"digest": {"$exists": True}}


@maps_database_errors
class MongoOrphans:
    """The port `transfer.ports.checking.Orphans` on MongoDB."""

    def __init__(self, database: Database, *, sweep_seconds: float) -> None:
        self._database = database
        self._contents = database["contents"]
        self._files = database["files"]
        self._chunks = database["fs.chunks"]
        self._inline = database["inline"]
        self._manifests = database["manifests"]
        self._bucket_files = database["fs.files"]
        self._codec = Codec(Content)
        self._sweep_seconds = sweep_seconds

    async def with_chunks(self, *, after: str, limit: int) -> Sequence[RecordId]:
        """Find each id by a look into the index, without a read of any chunk."""
        found: list[RecordId] = []
        last = ObjectId(after) if after else None
        while len(found) < limit:
            wanted = {"files_id": {"$gt": last} if last else {"$type": "objectId"}}
            document = await self._chunks.find_one(wanted, {"_id": 0, "files_id": 1}, sort=[("files_id", ASCENDING)])
            if document is None:
                break
            last = document["files_id"]
            found.append(RecordId(str(last)))
        return found

    async def with_manifest(self, *, after: str, limit: int) -> Sequence[RecordId]:
        found: list[RecordId] = []
        wanted: Document = {"_id": {"$gt": {"content": ObjectId(after), "page": MaxKey()}}} if after else {}
        while len(found) < limit:
            document = await self._manifests.find_one(wanted, {"_id": 1}, sort=[("_id", ASCENDING)])
            if document is None:
                break
            content_id = document["_id"]["content"]
            wanted = {"_id": {"$gt": {"content": content_id, "page": MaxKey()}}}
            found.append(RecordId(str(content_id)))
        return found

    async def with_inline(self, *, after: str, limit: int) -> Sequence[RecordId]:
        return await _next_ids(self._inline, {}, after, limit)

    async def with_bucket_file(self, *, after: str, limit: int) -> Sequence[RecordId]:
        return await _next_ids(self._bucket_files, OURS_IN_BUCKET, after, limit)

    async def orphaned(self, content_ids: Sequence[RecordId]) -> Sequence[RecordId]:
        now = await server_time(self._database)
        oldest = now - timedelta(seconds=self._sweep_seconds)
        old = [one for one in map(ObjectId, content_ids) if creation_time(one, now=now) < oldest]
        return [RecordId(str(one)) for one in await self._without(self._known, old)]

    async def unreferenced(self, *, after: str, limit: int) -> tuple[Sequence[Content], str]:
        wanted: Document = {"state": {"$in": [ContentState.OPEN.value, ContentState.SEALED.value]}}
        wanted["$expr"] = self._is_old("$created_at")
        if after:
            wanted["_id"] = {"$gt": ObjectId(after)}
        documents = [one async for one in self._contents.find(wanted).sort("_id", ASCENDING).limit(limit)]
        ids = [document["_id"] for document in documents]
        unreferenced = await self._without(self._referred_to, ids)
        left = [self._codec.decode(document) for document in documents if document["_id"] in unreferenced]
        return left, str(ids[-1]) if len(ids) == limit else ""

    async def remove_chunks(self, content_id: RecordId) -> bool:
        """Remove the chunks some at a time, so that MongoDB answers each delete soon."""
        ours = {"files_id": ObjectId(content_id), **OURS_IN_CHUNKS}
        removed = False
        while True:
            cursor = self._chunks.find(ours, {"_id": 0, "n": 1}).limit(REMOVED_AT_ONCE)
            numbers = [document["n"] async for document in cursor]
            if not numbers:
                return removed
            await self._chunks.delete_many({**ours, "n": {"$in": numbers}})
            removed = True

    async def has_chunks(self, content_id: RecordId) -> bool:
        ours = {"files_id": ObjectId(content_id), **OURS_IN_CHUNKS}
        return await self._chunks.find_one(ours, {"_id": 0, "n": 1}) is not None

    async def remove_inline(self, content_id: RecordId) -> bool:
        return bool((await self._inline.delete_one({"_id": ObjectId(content_id)})).deleted_count)

    async def remove_manifest(self, content_id: RecordId) -> bool:
        one = ObjectId(content_id)
        pages = {"$gt": {"content": one}, "$lt": {"content": one, "page": MaxKey()}}
        return bool((await self._manifests.delete_many({"_id": pages})).deleted_count)

    async def remove_bucket_file(self, content_id: RecordId) -> bool:
        ours = {"_id": ObjectId(content_id), **OURS_IN_BUCKET}
        return bool((await self._bucket_files.delete_one(ours)).deleted_count)

    async def _without(
        self, look: Callable[[Sequence[ObjectId]], Awaitable[set[Any]]], ids: Sequence[ObjectId]
    ) -> Sequence[ObjectId]:
        """Return the ids that `look` does not return, even after the primary has caught up."""

        async def unseen() -> Sequence[ObjectId]:
            seen = await look(ids)
            return [one for one in ids if one not in seen]

        return await read_with_catch_up(self._contents, unseen, found=lambda left: not left)

    async def _known(self, ids: Sequence[ObjectId]) -> set[Any]:
        """Return the ids that a content's record has, or that a file refers to."""
        known = {document["_id"] async for document in self._contents.find({"_id": {"$in": ids}}, {"_id": 1})}
        return known | await self._referred_to(ids)

    async def _referred_to(self, ids: Sequence[ObjectId]) -> set[Any]:
        """Return the ids that a file refers to, unless the file is DELETED."""
        wanted = {"content_id": {"$in": ids}, "state": {"$nin": [state.value for state in BYTES_GONE]}}
        return {document["content_id"] async for document in self._files.find(wanted, {"content_id": 1})}

    def _is_old(self, field: str) -> Document:
        return {"$lte": [field, after(-self._sweep_seconds)]}


async def _next_ids(collection: Collection, condition: Document, after: str, limit: int) -> Sequence[RecordId]:
    wanted = {**condition, "_id": {"$gt": ObjectId(after)} if after else {"$type": "objectId"}}
    cursor = collection.find(wanted, {"_id": 1}).sort("_id", ASCENDING).limit(limit)
    return [RecordId(str(document["_id"])) async for document in cursor]
