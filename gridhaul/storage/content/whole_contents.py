"""Many small contents, stored whole and sealed in four writes: records, then bytes and manifests, then seals.

Every step can be repeated, and leaves out a content that belongs to another writer. A crash leaves the same as the
crash of a writer of one content: an open content, some of whose bytes are stored.
"""

from collections.abc import Iterable, Mapping, Sequence

from bson import ObjectId
from pymongo import UpdateOne

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.inserting import doubles, found_by_all
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.lease import NOW
from gridhaul.storage.value_per_record import ids_of, value_per_record
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import PayloadTooLarge, StateConflict
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
        self._manifests = Manifests(database)
        self._inline_limit_chunks = inline_limit_chunks

    async def store(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, str]:
        """Store and seal the contents, as `transfer.ports.contents.Intake.store_whole` promises."""
        fitting = {one.id: one for one in contents if self._is_inline(one)}
        accepted: Wholes = fitting
        for step in (self._open, self._write, self._seal):
            accepted = _without(accepted, await step(accepted)) if accepted else accepted
        too_large = {one.id: PayloadTooLarge.code for one in contents if one.id not in fitting}
        return too_large | dict.fromkeys(fitting.keys() - accepted.keys(), StateConflict.code)

    def _is_inline(self, content: WholeContent) -> bool:
        return 0 < self._inline_limit_chunks >= len(content.chunks)

    async def _open(self, contents: Wholes) -> Iterable[RecordId]:
        """Make the records. Return the ids of which another record exists, be it only the note of a delete."""
        writes = [
            UpdateOne({"_id": ObjectId(one.id), "state": NOWHERE}, [{"$set": self._opened(one)}], upsert=True)
            for one in contents.values()
        ]
        ids = list(contents)
        taken = {ids[at] for at in await doubles(self._contents.bulk_write(writes, ordered=False))}
        return taken - {record.id for record in await self._records(taken) if _is_begun(record, contents[record.id])}

    def _opened(self, content: WholeContent) -> Document:
        values = {
            "filename": content.filename,
            "content_type": content.content_type,
            "length": content.seal.length,
            "state": ContentState.OPEN,
            "fence": content.fence,
            "refs": (content.file_id,),
        }
        return {**self._codec.literals(values), "created_at": NOW}

    async def _write(self, contents: Wholes) -> Iterable[RecordId]:
        """Store bytes and manifests. Return the ids under which other bytes or digests are stored."""
        whole = list(contents.values())
        return await found_by_all((self._inline.insert_whole(whole), self._manifests.insert_whole(whole)))

    async def _seal(self, contents: Wholes) -> Iterable[RecordId]:
        """Seal the contents. Return the ids that another writer has taken over, or sealed with another seal."""
        seals = {content_id: one.seal for content_id, one in contents.items()}
        still_ours = {
            "$eq": ["$fence", value_per_record({content_id: one.fence for content_id, one in contents.items()})]
        }
        sealed = {
            "state": ContentState.SEALED.value,
            "layout": Layout.INLINE.value,
            "sha256": value_per_record({content_id: seal.sha256 for content_id, seal in seals.items()}),
            "manifest_root": value_per_record({content_id: seal.manifest_root for content_id, seal in seals.items()}),
            "sealed_at": NOW,
        }
        wanted = {**ids_of(contents), "state": ContentState.OPEN.value, "$expr": still_ours}
        written = await self._contents.update_many(wanted, [{"$set": sealed}])
        if written.matched_count == len(contents):
            return set()
        return contents.keys() - {one.id for one in await self._records(contents) if _is_sealed(one, contents[one.id])}

    async def _records(self, ids: Iterable[RecordId]) -> list[Content]:
        found = self._contents.find(ids_of(ids)) if ids else None
        return [self._codec.decode(document) async for document in found] if found else []


def _is_begun(record: Content, content: WholeContent) -> bool:
    """Return whether an earlier or concurrent copy of this request made the record."""
    open_copy = (record.state, record.fence, record.length) == (ContentState.OPEN, content.fence, content.seal.length)
    return open_copy or _is_sealed(record, content)


def _is_sealed(record: Content, content: WholeContent) -> bool:
    return (record.state, record.fence, record.seal) == (ContentState.SEALED, content.fence, content.seal)


def _without(contents: Wholes, refused: Iterable[RecordId]) -> Wholes:
    refused_ids = set(refused)
    return {content_id: one for content_id, one in contents.items() if content_id not in refused_ids}
