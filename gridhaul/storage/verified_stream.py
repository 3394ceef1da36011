"""A stored content as a stream in which every byte was checked before it is given."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, SEGMENT_MAX_CHUNKS, chunk_length
from gridhaul.transfer.digest import DIGEST_BYTES, ContentDigest, chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt, ChunkDoubled, ChunkMissing, ContentMismatch
from gridhaul.transfer.model import Content

NumberedChunk = tuple[int, bytes]  # a chunk's number and data, as a layout reads them
ManifestPage = Callable[[int], Awaitable[bytes]]

T = TypeVar("T")


async def verified(
    content: Content, batches: AsyncGenerator[Sequence[NumberedChunk]], manifest_page: ManifestPage
) -> AsyncGenerator[bytes]:
    """The chunks in order, each checked against the manifest; the last segment only once length and SHA-256 agree.

    So a reader that stops at an error has never had the whole content, and of one segment or less not a byte.
    Raises ChunkMissing, ChunkCorrupt, ChunkDoubled, ContentMismatch.
    """
    check = _Check(content, manifest_page)
    held_back: deque[bytes] = deque()
    async with aclosing(batches), aclosing(_one_ahead(check.all(batches))) as checked:
        async for chunks in checked:
            held_back.extend(chunks)
            while len(held_back) > SEGMENT_MAX_CHUNKS:
                yield held_back.popleft()
    check.whole()
    while held_back:
        yield held_back.popleft()


async def _one_ahead(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The items, the next one made while this one is used."""
    making = asyncio.ensure_future(anext(items, None))
    try:
        while (item := await asyncio.shield(making)) is not None:
            making = asyncio.ensure_future(anext(items, None))
            yield item
    finally:  # not cancelled: a thread may be at work for it
        await asyncio.gather(making, return_exceptions=True)
        await items.aclose()


class _Check:
    def __init__(self, content: Content, manifest_page: ManifestPage) -> None:
        self._content = content
        self._manifest_page = manifest_page
        self._page = (-1, b"")
        self._total = ContentDigest()
        self._next = 0

    async def all(self, batches: AsyncGenerator[Sequence[NumberedChunk]]) -> AsyncGenerator[list[bytes]]:
        """Each batch without its numbers, when it is what the manifest says."""
        async for batch in batches:
            yield await self._batch(batch)

    async def _batch(self, batch: Sequence[NumberedChunk]) -> list[bytes]:
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
