"""Small contents that are read whole, many at once, for deliveries that are made together."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from bson import ObjectId

from gridhaul.process.threads import in_thread
from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, Document, ThreadsCollection, as_bytes, database_errors, for_threads
from gridhaul.storage.content.verified_stream import checked_whole
from gridhaul.storage.value_per_record import ids_of
from gridhaul.transfer.bundle import CheckedContent
from gridhaul.transfer.errors import IntegrityError
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import ContentState, Layout

SEALED_INLINE: Document = {"state": ContentState.SEALED.value, "layout": Layout.INLINE.value}


class WholeReading:
    """Reads contents in the inline layout. Three queries serve any number of contents."""

    def __init__(self, database: Database) -> None:
        self._contents = database["contents"]
        self._codec = Codec(Content)
        self._inline = for_threads(database)["inline"]
        self._manifests = for_threads(database)["manifests"]

    async def read(self, content_ids: Collection[RecordId]) -> Mapping[RecordId, CheckedContent]:
        """Return what `transfer.ports.contents.ContentReading.read_whole` says."""
        cursor = self._contents.find({**ids_of(content_ids), **SEALED_INLINE})
        contents = [self._codec.decode(document) async for document in cursor]
        return await in_thread(lambda: self._checked(contents))

    def _checked(self, contents: Collection[Content]) -> Mapping[RecordId, CheckedContent]:
        with database_errors():
            chunks = _found(self._inline, ids_of(content.id for content in contents))
            pages = _found(self._manifests, {"_id": {"$in": [_page(content) for content in contents]}})
        digests = {page["_id"]["content"]: as_bytes(page.get("digests")) for page in pages}
        stored = {one["_id"]: [as_bytes(data) for data in one.get("chunks", ())] for one in chunks}
        checked = {}
        for content in contents:
            key = ObjectId(content.id)
            with suppress(IntegrityError):
                whole = checked_whole(content, [*enumerate(stored.get(key, ()))], digests.get(key, b""))
                checked[content.id] = CheckedContent(content=content, chunks=whole)
        return checked


def _found(collection: ThreadsCollection, wanted: Document) -> Iterable[Document]:
    return collection.find(wanted).to_list()


def _page(content: Content) -> Document:
    return {"content": ObjectId(content.id), "page": 0}
