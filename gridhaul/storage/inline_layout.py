"""Small contents: one document with all chunks, in its own collection, written once."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gridhaul.storage.connect import Database
from gridhaul.storage.verified_stream import NumberedChunk
from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.errors import ChunkConflict
from gridhaul.transfer.model import Content, RecordId


class InlineLayout:
    """A document is `{_id: content id, digests: 32 bytes a chunk, chunks: [bytes]}`."""

    def __init__(self, database: Database) -> None:
        self._collection = database["inline"]

    async def insert(self, content_id: RecordId, chunks: Sequence[bytes], digests: Sequence[bytes]) -> bool:
        """Whether it was new. Raises ChunkConflict when other bytes are there."""
        document: dict[str, Any] = {"_id": ObjectId(content_id), "digests": b"".join(digests), "chunks": list(chunks)}
        try:
            await self._collection.insert_one(document)
        except DuplicateKeyError:
            self.require_same(await self.digests(content_id), 0, digests)
            return False
        return True

    def require_same(self, held: bytes, first: int, digests: Sequence[bytes]) -> None:
        """Raises ChunkConflict naming the chunk that differs from what is held."""
        for offset, digest in enumerate(digests):
            start = (first + offset) * DIGEST_BYTES
            if held[start : start + DIGEST_BYTES] != digest:
                raise ChunkConflict(f"Chunk {first + offset} is stored with other bytes.")

    async def digests(self, content_id: RecordId) -> bytes:
        """All digests, or b"" when nothing is stored."""
        document = await self._collection.find_one({"_id": ObjectId(content_id)}, {"digests": 1})
        return bytes(document["digests"]) if document else b""

    async def batches(self, content: Content) -> AsyncGenerator[Sequence[NumberedChunk]]:
        """All chunks at once, numbered from 0; nothing if there is no document."""
        document = await self._collection.find_one({"_id": ObjectId(content.id)}, {"chunks": 1})
        if document:
            yield list(enumerate(document["chunks"]))

    async def delete(self, content_id: RecordId) -> None:
        await self._collection.delete_one({"_id": ObjectId(content_id)})
