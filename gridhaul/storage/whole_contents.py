"""Small contents, stored whole and sealed at once, many in three writes: bytes and manifests, then what they belong to.

The record comes last, with a fence and SEALED from its first moment. Until then a file already knows its id, so what a
crash leaves is nobody's orphan: whoever claims the file next opens the content, finds what is held, and seals it.
"""

import asyncio
from collections.abc import Mapping, Sequence

from bson import ObjectId
from pymongo import UpdateOne

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document
from gridhaul.storage.inline_layout import InlineLayout
from gridhaul.storage.inserting import doubles
from gridhaul.storage.lease import NOW
from gridhaul.storage.manifest import Manifests
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import PayloadTooLarge, StateConflict
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import ContentState, Layout

NOWHERE: Document = {"$in": []}  # an upsert that only inserts: pipelines know the server's time


class WholeContents:
    def __init__(self, database: Database, *, inline_limit_chunks: int) -> None:
        self._contents = database["contents"]
        self._codec = Codec(Content)
        self._inline = InlineLayout(database)
        self._manifests = Manifests(database)
        self._inline_limit_chunks = inline_limit_chunks

    async def store(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, str]:
        """`Intake.store_whole`."""
        fitting = [one for one in contents if self._is_inline(one)]
        refused = {one.id: PayloadTooLarge.code for one in contents if not self._is_inline(one)}
        unlike = await asyncio.gather(self._inline.insert_whole(fitting), self._manifests.insert_whole(fitting))
        taken = set[RecordId]().union(*unlike)
        taken |= await self._seal([one for one in fitting if one.id not in taken])
        return refused | dict.fromkeys(taken, StateConflict.code)

    def _is_inline(self, content: WholeContent) -> bool:
        return 0 < self._inline_limit_chunks >= len(content.chunks)

    async def _seal(self, contents: Sequence[WholeContent]) -> set[RecordId]:
        """Make the records; those of which there is another one, be it only to say that it was deleted."""
        writes = [
            UpdateOne({"_id": ObjectId(one.id), "state": NOWHERE}, [{"$set": self._record(one)}], upsert=True)
            for one in contents
        ]
        if not writes:
            return set()
        repeated = [contents[at] for at in await doubles(self._contents.bulk_write(writes, ordered=False))]
        return {one.id for one in repeated} - await self._sealed_alike(repeated)

    def _record(self, content: WholeContent) -> Document:
        values = {
            "filename": content.filename,
            "content_type": content.content_type,
            "length": content.seal.length,
            "state": ContentState.SEALED,
            "layout": Layout.INLINE,
            "fence": content.fence,
            "refs": (content.file_id,),
            "sha256": content.seal.sha256,
            "manifest_root": content.seal.manifest_root,
        }
        return {**self._codec.literals(values), "created_at": NOW, "sealed_at": NOW}

    async def _sealed_alike(self, contents: Sequence[WholeContent]) -> set[RecordId]:
        """Those that the same request sealed before, or at the same time."""
        wanted = {one.id: (one.fence, one.seal) for one in contents}
        if not wanted:
            return set()
        cursor = self._contents.find({"_id": {"$in": [*map(ObjectId, wanted)]}, "state": ContentState.SEALED.value})
        found = [self._codec.decode(document) async for document in cursor]
        return {one.id for one in found if (one.fence, one.seal) == wanted[one.id]}
