"""Access beneath the ports: makes the traces of crashes and late requests, and looks at what is left of a content."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Protocol

from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.content.tails import Tails
from gridhaul.storage.lease import NOW
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.model import Content, RecordId, Seal, Segment, Tail
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.memory_contents import MemoryContents


class Beneath(Protocol):
    """Writes to a storage past the checks of the ports."""

    async def add_ref(self, content: Content, file_id: RecordId) -> None:
        """Let another file refer to the content."""

    async def store_whole(self, content: Content, segment: Segment) -> None:
        """Store the segment of an inline content, as if the chunk service died before it noted the layout."""

    async def store_late(self, content: Content, segment: Segment) -> None:
        """Store a segment of a deleted content, as if the segment was checked before the delete."""

    async def seal_late(self, content: Content, seal: Seal, page: bytes) -> None:
        """Write the seal of a deleted content, as if the seal was checked before the delete."""

    async def replace_late(self, content: Content, segment: Segment, *, fence: int) -> None:
        """Store a segment of an ordered upload, as if the segment was checked when the fence was the highest."""

    async def put_tail_late(self, content: Content, tail: Tail, *, fence: int) -> None:
        """Store an open tail, as if the tail was checked when the fence was the highest."""

    async def make_small_chunks(self, content: Content, numbers: Collection[int]) -> None:
        """Store chunks of a few bytes under these numbers, because whole chunks would take long."""

    async def chunk_numbers(self, content_id: RecordId) -> list[int]:
        """Return the numbers of the chunks that are stored, each in a place of its own."""

    async def begin_delete(self, content: Content) -> None:
        """Mark the content as to be deleted, as if the worker died before it deleted anything."""

    async def remains(self, content_id: RecordId) -> set[str]:
        """Return the places that still hold something of the content."""


class BeneathMemory:
    def __init__(self, contents: MemoryContents) -> None:
        self._contents = contents

    async def add_ref(self, content: Content, file_id: RecordId) -> None:
        row = self._contents.rows[content.id]
        row.record = replace(row.record, refs=(*row.record.refs, file_id))

    async def store_whole(self, content: Content, segment: Segment) -> None:
        await self.store_late(content, segment)

    async def store_late(self, content: Content, segment: Segment) -> None:
        held = self._contents.chunks.setdefault(content.id, {})
        for n, entry in enumerate(zip(segment.chunks, segment.digests, strict=True), segment.first):
            held.setdefault(n, entry)

    async def seal_late(self, content: Content, seal: Seal, page: bytes) -> None:
        self._contents.manifests[content.id] = page

    async def replace_late(self, content: Content, segment: Segment, *, fence: int) -> None:
        self._contents.replace_chunks(content.id, segment.first, segment.chunks, segment.digests, fence=fence)

    async def put_tail_late(self, content: Content, tail: Tail, *, fence: int) -> None:
        self._contents.put_tail(content.id, tail, fence=fence)

    async def make_small_chunks(self, content: Content, numbers: Collection[int]) -> None:
        self._contents.chunks[content.id] = dict.fromkeys(numbers, (b"x", chunk_digest(b"x")))

    async def chunk_numbers(self, content_id: RecordId) -> list[int]:
        row = self._contents.rows.get(content_id)
        inline = row is not None and row.record.layout is Layout.INLINE
        return [] if inline else sorted(self._contents.chunks.get(content_id, {}))

    async def begin_delete(self, content: Content) -> None:
        row = self._contents.rows[content.id]
        row.record = replace(row.record, refs=(), state=ContentState.DELETING)
        row.next_attempt_at = 0.0

    async def remains(self, content_id: RecordId) -> set[str]:
        contents = self._contents
        kept: dict[str, Mapping[RecordId, object]] = {"record": contents.rows, "chunks": contents.chunks}
        kept |= {"tail": contents.tails, "manifest": contents.manifests}
        return {name for name, ids in kept.items() if content_id in ids}


class BeneathMongo:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._inline = InlineLayout(database)
        self._gridfs = GridFSLayout(database)

    async def add_ref(self, content: Content, file_id: RecordId) -> None:
        await self._database["contents"].update_one(
            {"_id": ObjectId(content.id)}, {"$addToSet": {"refs": ObjectId(file_id)}}
        )

    async def store_whole(self, content: Content, segment: Segment) -> None:
        await self._inline.insert(content.id, segment.chunks, segment.digests)

    async def store_late(self, content: Content, segment: Segment) -> None:
        await self._gridfs.insert(content.id, segment.first, segment.chunks, segment.digests)

    async def seal_late(self, content: Content, seal: Seal, page: bytes) -> None:
        await Manifests(self._database).write(content.id, 0, page, fence=content.fence)
        await self._gridfs.publish(content, seal)

    async def replace_late(self, content: Content, segment: Segment, *, fence: int) -> None:
        await self._gridfs.replace(content.id, segment.first, segment.chunks, segment.digests, fence=fence)

    async def put_tail_late(self, content: Content, tail: Tail, *, fence: int) -> None:
        tails = Tails(self._database)
        await tails.put(content.id, fence=fence, n=tail.n, data=tail.data, digest=chunk_digest(tail.data))

    async def make_small_chunks(self, content: Content, numbers: Collection[int]) -> None:
        chunk = {"files_id": ObjectId(content.id), "data": b"x", "digest": chunk_digest(b"x"), "fence": content.fence}
        await self._database["fs.chunks"].insert_many([{**chunk, "n": n} for n in numbers])

    async def chunk_numbers(self, content_id: RecordId) -> list[int]:
        found = self._database["fs.chunks"].find({"files_id": ObjectId(content_id)}, {"n": 1}).sort("n", 1)
        return [chunk["n"] async for chunk in found]

    async def begin_delete(self, content: Content) -> None:
        deleting = {"refs": [], "state": ContentState.DELETING.value, "next_attempt_at": NOW}
        await self._database["contents"].update_one({"_id": ObjectId(content.id)}, [{"$set": deleting}])

    async def remains(self, content_id: RecordId) -> set[str]:
        own = ObjectId(content_id)
        places = {
            "record": ("contents", {"_id": own}),
            "inline": ("inline", {"_id": own}),
            "chunks": ("fs.chunks", {"files_id": own}),
            "file": ("fs.files", {"_id": own}),
            "tail": ("tails", {"_id": own}),
            "manifest": ("manifests", {"_id.content": own}),
        }
        return {
            name
            for name, (collection, wanted) in places.items()
            if await self._database[collection].find_one(wanted, {"_id": 1})
        }
