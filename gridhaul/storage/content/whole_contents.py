"""Many small contents, stored whole and sealed in a few writes: records, then bytes and manifests, then seals.

A content that fits into the limit of the inline layout is stored inline, any other in the GridFS layout. Every step
can be repeated, and leaves out a content that belongs to another writer. A crash leaves the same as the crash of a
writer of one content: an open content, some of whose bytes are stored.
"""

from collections.abc import Iterable, Mapping, Sequence

from bson import ObjectId
from pymongo import UpdateOne

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.inserting import doubles, found_by_all
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.lease import NOW
from gridhaul.storage.value_per_record import ids_of, value_per_record
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import ContentState, Layout

# A condition that matches no document, so that an upsert only inserts. An upsert is needed because only pipelines know
# the server's time.
NOWHERE: Document = {"$in": []}
Wholes = Mapping[RecordId, WholeContent]


class WholeContents:
    def __init__(self, database: Database, *, inline_limit_chunks: int) -> None:
        self._contents = database["contents"]
        self._codec = Codec(Content)
        self._inline = InlineLayout(database)
        self._gridfs = GridFSLayout(database)
        self._manifests = Manifests(database)
        self._inline_limit_chunks = inline_limit_chunks

    async def store(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        """Store and seal the contents, as `transfer.ports.contents.Intake.store_whole` promises."""
        accepted: Wholes = {one.id: one for one in contents}
        for step in (self._open, self._write, self._seal):
            accepted = _without(accepted, await step(accepted)) if accepted else accepted
        return {content_id: self._layout(one) for content_id, one in accepted.items()}

    def _layout(self, content: WholeContent) -> Layout:
        return Layout.INLINE if 0 < self._inline_limit_chunks >= len(content.chunks) else Layout.GRIDFS

    async def _open(self, contents: Wholes) -> Iterable[RecordId]:
        """Make the records. Return the ids of which another record exists, be it only the note of a delete."""
        writes = [
            UpdateOne({"_id": ObjectId(one.id), "state": NOWHERE}, [{"$set": self._opened(one)}], upsert=True)
            for one in contents.values()
        ]
        ids = list(contents)
        taken = {ids[at] for at in await doubles(self._contents.bulk_write(writes, ordered=False))}
        return taken - {one.id for one in await self._records(taken) if self._is_begun(one, contents[one.id])}

    def _opened(self, content: WholeContent) -> Document:
        values = {
            "filename": content.filename,
            "content_type": content.content_type,
            "length": content.seal.length,
            "state": ContentState.OPEN,
            "fence": content.fence,
            "refs": (content.file_id,),
        }
        return {**self._codec.literals(values | self._noted(content)), "created_at": NOW}

    def _noted(self, content: WholeContent) -> dict[str, Layout]:
        """Return what an open record says of the layout.

        After a crash another writer completes the content. It finds an inline document by itself, but looks for chunks
        only if the record names their layout.
        """
        layout = self._layout(content)
        return {"layout": layout} if layout is Layout.GRIDFS else {}

    async def _write(self, contents: Wholes) -> Iterable[RecordId]:
        """Store bytes and manifests. Return the ids under which other bytes or digests are stored."""
        inline, chunked = self._by_layout(contents)
        inserts = (
            self._inline.insert_whole(inline),
            self._gridfs.insert_whole(chunked),
            self._manifests.insert_whole(list(contents.values())),
        )
        return await found_by_all(inserts)

    def _by_layout(self, contents: Wholes) -> tuple[list[WholeContent], list[WholeContent]]:
        """Return the contents to be stored inline, and the others."""
        parts: dict[Layout, list[WholeContent]] = {Layout.INLINE: [], Layout.GRIDFS: []}
        for content in contents.values():
            parts[self._layout(content)].append(content)
        return parts[Layout.INLINE], parts[Layout.GRIDFS]

    async def _seal(self, contents: Wholes) -> Iterable[RecordId]:
        """Seal the contents. Return the ids that another writer has taken over, or sealed with another seal."""
        _, chunked = self._by_layout(contents)
        await self._gridfs.publish_whole(chunked)
        seals = {content_id: one.seal for content_id, one in contents.items()}
        still_ours = {
            "$eq": ["$fence", value_per_record({content_id: one.fence for content_id, one in contents.items()})]
        }
        sealed = {
            "state": ContentState.SEALED.value,
            "layout": value_per_record({content_id: self._layout(one).value for content_id, one in contents.items()}),
            "sha256": value_per_record({content_id: seal.sha256 for content_id, seal in seals.items()}),
            "manifest_root": value_per_record({content_id: seal.manifest_root for content_id, seal in seals.items()}),
            "sealed_at": NOW,
        }
        wanted = {**ids_of(contents), "state": ContentState.OPEN.value, "$expr": still_ours}
        written = await self._contents.update_many(wanted, [{"$set": sealed}])
        if written.matched_count == len(contents):
            return set()
        records = await self._records(contents)
        return contents.keys() - {one.id for one in records if self._is_sealed(one, contents[one.id])}

    async def _records(self, ids: Iterable[RecordId]) -> list[Content]:
        found = self._contents.find(ids_of(ids)) if ids else None
        return [self._codec.decode(document) async for document in found] if found else []

    def _is_begun(self, record: Content, content: WholeContent) -> bool:
        """Return whether an earlier or concurrent copy of this request made the record, under the same limit."""
        begun = (ContentState.OPEN, content.fence, content.seal.length, self._noted(content).get("layout"))
        is_open = (record.state, record.fence, record.length, record.layout) == begun
        return is_open or self._is_sealed(record, content)

    def _is_sealed(self, record: Content, content: WholeContent) -> bool:
        sealed = (ContentState.SEALED, content.fence, content.seal, self._layout(content))
        return (record.state, record.fence, record.seal, record.layout) == sealed


def _without(contents: Wholes, refused: Iterable[RecordId]) -> Wholes:
    refused_ids = set(refused)
    return {content_id: one for content_id, one in contents.items() if content_id not in refused_ids}
