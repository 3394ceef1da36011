"""A content of 1 TiB whose bytes are made when they are read, and verified as stored ones are."""

from collections.abc import Generator
from random import Random

from gridhaul.storage.connect import Database
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.content.gridfs_layout import READ_CHUNKS
from gridhaul.storage.content.verified_stream import Batch, VerifiedChunks, verified_content, verified_range
from gridhaul.transfer.chunking import CHUNK_BYTES, MANIFEST_PAGE_CHUNKS, chunks_of_range
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import ContentState

TIB = 1 << 40
SHA256 = "0" * 64  # the sending stops long before the digest of all bytes is compared
VARIANTS = 251  # different chunks, which follow one another; a prime, so that parts are not alike


class MadeContents(MongoContents):
    """`transfer.ports.contents.Contents`, in which every content has 1 TiB. Nothing is stored."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._pattern = Random(0).randbytes(CHUNK_BYTES + VARIANTS)  # noqa: S311 - the same bytes in every run
        self._digests = [chunk_digest(self._chunk(n)) for n in range(VARIANTS)]
        self.furthest = 0  # the end of the last chunk that was read, by any reading

    async def get(self, content_id: RecordId) -> Content:
        return Content(
            id=content_id,
            filename="tebibyte",
            content_type="application/octet-stream",
            length=TIB,
            state=ContentState.SEALED,
            fence=1,
            refs=(),
            sha256=SHA256,
        )

    def read(self, content: Content) -> VerifiedChunks:
        numbers = range(content.chunk_count)
        return verified_content(content, self._made(numbers, at_once=READ_CHUNKS), self._page)

    def read_range(self, content: Content, *, start: int, stop: int) -> VerifiedChunks:
        batches = self._made(chunks_of_range(start, stop), at_once=1)
        return verified_range(content, batches, self._page, start=start, stop=stop)

    def _made(self, numbers: range, *, at_once: int) -> Generator[Batch]:
        for first in range(numbers.start, numbers.stop, at_once):
            batch = range(first, min(first + at_once, numbers.stop))
            yield [(n, self._chunk(n)) for n in batch]
            self.furthest = max(self.furthest, batch.stop * CHUNK_BYTES)

    def _chunk(self, n: int) -> bytes:
        begin = n % VARIANTS
        return self._pattern[begin : begin + CHUNK_BYTES]

    def _page(self, number: int) -> bytes:
        first = number * MANIFEST_PAGE_CHUNKS
        return b"".join(self._digests[n % VARIANTS] for n in range(first, first + MANIFEST_PAGE_CHUNKS))
