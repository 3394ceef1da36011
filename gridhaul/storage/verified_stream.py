"""A stored content as a stream in which every byte was checked before it is given."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, SEGMENT_MAX_CHUNKS, chunk_length
from gridhaul.transfer.digest import DIGEST_BYTES, ContentDigest, chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt, ChunkDoubled, ChunkMissing, ContentMismatch
from gridhaul.transfer.model import Content

NumberedChunk = tuple[int, bytes]  # a chunk's number and data, as a layout reads them
ManifestPage = Callable[[int], Awaitable[bytes]]


async def verified(
    content: Content, batches: AsyncGenerator[Sequence[NumberedChunk]], manifest_page: ManifestPage
) -> AsyncGenerator[bytes]:
    """The chunks in order, each checked against the manifest; the last segment only once length and SHA-256 agree.

    So a reader that stops at an error has never had the whole content, and of one segment or less not a byte.
    Raises ChunkMissing, ChunkCorrupt, ChunkDoubled, ContentMismatch.
    """
    check = _Check(content, manifest_page)
    held_back: deque[bytes] = deque()
    async with aclosing(batches):
        async for batch in batches:
            held_back.extend(await check.batch(batch))
            while len(held_back) > SEGMENT_MAX_CHUNKS:
                yield held_back.popleft()
    check.whole()
    while held_back:
        yield held_back.popleft()


class _Check:
    def __init__(self, content: Content, manifest_page: ManifestPage) -> None:
        self._content = content
        self._manifest_page = manifest_page
        self._page = (-1, b"")
        self._total = ContentDigest()
        self._next = 0

    async def batch(self, batch: Sequence[NumberedChunk]) -> list[bytes]:
        expected = [await self._expected(self._next + offset) for offset in range(len(batch))]
        chunks = await asyncio.to_thread(self._hash, batch, expected)
        self._next += len(batch)
        return chunks

    def whole(self) -> None:
        if self._next < self._content.chunk_count:
            raise ChunkMissing(f"Chunk {self._next} of content {self._content.id} is missing.")
        if (self._total.length_bytes, self._total.hexdigest()) != (self._content.length, self._content.sha256):
            raise ContentMismatch(f"Content {self._content.id} differs from the digest it was sealed with.")

    def _hash(self, batch: Sequence[NumberedChunk], expected: Sequence[bytes]) -> list[bytes]:
        for wanted, digest, (n, data) in zip(range(self._next, self._next + len(batch)), expected, batch, strict=True):
            if n < wanted:
                raise ChunkDoubled(f"Chunk {n} of content {self._content.id} is stored more than once.")
            if n != wanted:
                raise ChunkMissing(f"Chunk {wanted} of content {self._content.id} is missing.")
            if len(data) != chunk_length(self._content.length, n) or chunk_digest(data) != digest:
                raise ChunkCorrupt(f"Chunk {n} of content {self._content.id} is not what the manifest says.")
            self._total.update(data)
        return [data for _, data in batch]

    async def _expected(self, n: int) -> bytes:
        page, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        if page != self._page[0]:
            self._page = (page, await self._manifest_page(page))
        return self._page[1][at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
