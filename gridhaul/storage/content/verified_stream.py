"""A stored content as a stream of chunks, each of which is checked before it is yielded."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import aclosing, closing, suppress
from typing import TypeVar

from gridhaul.process.threads import thread_ended
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, SEGMENT_MAX_CHUNKS, chunk_length
from gridhaul.transfer.digest import DIGEST_BYTES, ContentDigest, chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt, ChunkDoubled, ChunkMissing, ContentMismatch
from gridhaul.transfer.model import Content

NumberedChunk = tuple[int, bytes]  # a chunk's number and data, as a layout reads them
ManifestPage = Callable[[int], bytes]

READ_AHEAD = 2  # batches; with one batch, the reader would wait for the checker, which takes as long for a batch

T = TypeVar("T")


async def verified(
    content: Content, batches: Generator[Sequence[NumberedChunk]], manifest_page: ManifestPage
) -> AsyncGenerator[bytes]:
    """Yield the chunks in order, each checked against the manifest; the last 16 only once length and SHA-256 agree.

    Before an error the caller has never received the whole content, and no byte of a content of up to 16 chunks.
    Batches are read in one thread, checked in another and hashed in a third, while the caller uses earlier batches.
    Raises ChunkMissing, ChunkCorrupt, ChunkDoubled, ContentMismatch.
    """
    before_last_segment = content.chunk_count - SEGMENT_MAX_CHUNKS
    held_back: list[bytes] = []
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as hasher, ThreadPoolExecutor(1) as checker:
        check = _Check(content, manifest_page, hasher)
        async with aclosing(_checked_ahead(check.all(_read_ahead(batches, reader)), checker)) as checked:
            async for chunks in checked:
                for n, chunk in chunks:
                    if n < before_last_segment:
                        yield chunk
                    else:
                        held_back.append(chunk)
    check.whole()
    for chunk in held_back:
        yield chunk


def _read_ahead(items: Generator[T], thread: ThreadPoolExecutor) -> Generator[T]:
    """Yield the items. `thread` makes the next READ_AHEAD items while the caller, in another thread, uses this one."""
    making = deque(thread.submit(next, items, None) for _ in range(READ_AHEAD))
    try:
        while (item := making.popleft().result()) is not None:
            making.append(thread.submit(next, items, None))
            yield item
    finally:  # wait for the thread, because a read cannot be interrupted
        for later in making:
            later.cancel()
        wait(making)
        items.close()


async def _checked_ahead(items: Generator[T], thread: ThreadPoolExecutor) -> AsyncGenerator[T]:
    """Yield the items on the event loop. `thread` makes the next item while the caller uses this one."""
    loop = asyncio.get_running_loop()
    making = loop.run_in_executor(thread, next, items, None)
    try:
        while (item := await asyncio.shield(making)) is not None:
            making = loop.run_in_executor(thread, next, items, None)
            yield item
    finally:
        try:
            with suppress(Exception):  # a caller that stops early has no use for the next item or its error
                await thread_ended(making)
        finally:
            await thread_ended(loop.run_in_executor(thread, items.close))


class _Check:
    def __init__(self, content: Content, manifest_page: ManifestPage, hasher: ThreadPoolExecutor) -> None:
        self._content = content
        self._manifest_page = manifest_page
        self._hasher = hasher
        self._page = (-1, b"")
        self._total = ContentDigest()
        self._next = 0

    def all(self, batches: Generator[Sequence[NumberedChunk]]) -> Generator[Sequence[NumberedChunk]]:
        """Yield each batch once it is what the manifest says. The hasher hashes it too, at most one batch behind."""
        with closing(batches):
            hashing = self._hasher.submit(self._hash, ())
            try:
                for batch in batches:
                    hashing.result()
                    hashing = self._hasher.submit(self._hash, batch)
                    for n, data in batch:
                        self._chunk(n, data)
                    yield batch
                hashing.result()
            finally:
                wait([hashing])  # in this thread: otherwise closing the hasher blocks the event loop

    def whole(self) -> None:
        if self._next < self._content.chunk_count:
            raise ChunkMissing(f"Chunk {self._next} of content {self._content.id} is missing.")
        if (self._total.length_bytes, self._total.hexdigest()) != (self._content.length, self._content.sha256):
            raise ContentMismatch(f"Content {self._content.id} differs from the digest it was sealed with.")

    def _chunk(self, n: int, data: bytes) -> None:
        if n < self._next:
            raise ChunkDoubled(f"Chunk {n} of content {self._content.id} is stored more than once.")
        if n != self._next:
            raise ChunkMissing(f"Chunk {self._next} of content {self._content.id} is missing.")
        if len(data) != chunk_length(self._content.length, n) or chunk_digest(data) != self._expected(n):
            raise ChunkCorrupt(f"Chunk {n} of content {self._content.id} is not what the manifest says.")
        self._next += 1

    def _hash(self, batch: Sequence[NumberedChunk]) -> None:
        for _, data in batch:
            self._total.update(data)

    def _expected(self, n: int) -> bytes:
        page, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        if page != self._page[0]:
            self._page = (page, self._manifest_page(page))
        return self._page[1][at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
