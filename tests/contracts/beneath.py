"""What no port does: the traces of crashes and of late requests, and a look at what is left of a content."""

from dataclasses import replace
from typing import Protocol

from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.lease import NOW
from gridhaul.transfer.model import Content, RecordId, Seal, Segment
from gridhaul.transfer.states import ContentState
from tests.contracts.memory_contents import MemoryContents


class Beneath(Protocol):
    """Written past the checks of the ports."""

    async def add_ref(self, content: Content, file_id: RecordId) -> None:
        """Another file refers to the content."""

    async def store_whole(self, content: Content, segment: Segment) -> None:
        """An inline content's segment is written, and its service dies before it notes the layout."""

    async def store_late(self, content: Content, segment: Segment) -> None:
        """A segment that was checked before its content was deleted is written afterwards."""

    async def seal_late(self, content: Content, seal: Seal, page: bytes) -> None:
        """The same of a seal."""

    async def begin_delete(self, content: Content) -> None:
        """The content is to be deleted, and the worker dies before it deletes anything."""

    async def remains(self, content_id: RecordId) -> set[str]:
        """Where there is something of the content still."""


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

    async def begin_delete(self, content: Content) -> None:
        row = self._contents.rows[content.id]
        row.record = replace(row.record, refs=(), state=ContentState.DELETING)
        row.next_attempt_at = 0.0

    async def remains(self, content_id: RecordId) -> set[str]:
        contents = self._contents
        kept = {"record": {*contents.rows}, "chunks": {*contents.chunks}, "manifest": {*contents.manifests}}
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
        await Manifests(self._database).write(content.id, 0, page)
        await self._gridfs.publish(content, seal)

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
            "manifest": ("manifests", {"_id.content": own}),
        }
        return {
            name
            for name, (collection, wanted) in places.items()
            if await self._database[collection].find_one(wanted, {"_id": 1})
        }
