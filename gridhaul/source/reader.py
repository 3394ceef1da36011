"""Reads a source: segments of chunks with their digests, and the seal of the whole."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass

from gridhaul.source.read_errors import read_error
from gridhaul.transfer.chunking import CHUNK_BYTES, chunk_count, chunk_length
from gridhaul.transfer.digest import ContentDigest, ManifestRoot, chunk_digest
from gridhaul.transfer.errors import GridhaulError, SourceChanged, SourceReadFailed
from gridhaul.transfer.model import Seal, Segment

LOOK_SECONDS = 1.0  # a change is noticed after at most this time


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """The chunks that were read well, and the error that ended the reading, if any."""

    segment: Segment
    error: SourceReadFailed | None


class SourceReader:
    """Reads a source once from its start, and hashes its chunks, its manifest root and the whole on the way.

    `read` returns the chunk of a number; the numbers ascend. `look` raises SourceChanged if the source has changed. The
    reader calls it once a second, beside its reads.
    """

    def __init__(self, read: Callable[[int], bytes], length_bytes: int, *, look: Callable[[], None]) -> None:
        self._read_chunk = read
        self._length = length_bytes
        self._look = look
        self._looked_at = time.monotonic()
        self._total = ContentDigest()
        self._root = ManifestRoot()

    async def segments(self, chunks_each: int) -> AsyncGenerator[Segment]:
        """Yield the source as segments of `chunks_each` chunks, and read the next segment while the caller uses one.

        Raises SourceChanged, and SourceReadFailed after it has yielded all whole chunks before the read that failed.
        """
        count = chunk_count(self._length)
        ahead: asyncio.Future[_Reading] | None = None
        try:
            for first in range(0, count, chunks_each):
                ahead = ahead or self._start(first, min(chunks_each, count - first))
                reading = await asyncio.shield(ahead)  # a thread cannot be cancelled, only waited for
                after, ahead = first + chunks_each, None
                if after < count and reading.error is None:
                    ahead = self._start(after, min(chunks_each, count - after))
                if reading.segment.chunks:
                    yield reading.segment
                if reading.error is not None:
                    raise reading.error
        finally:
            if ahead is not None:  # the thread must be done before the caller closes the descriptor
                await asyncio.wait([ahead])
                with suppress(GridhaulError):
                    ahead.result()

    def seal(self) -> Seal:
        """Return the seal of all that was read. Call after the last segment."""
        return Seal(
            length=self._total.length_bytes,
            sha256=self._total.hexdigest(),
            manifest_root=self._root.hexdigest(),
        )

    def _start(self, first: int, count: int) -> asyncio.Future[_Reading]:
        return asyncio.get_running_loop().run_in_executor(None, self._read, first, count)

    def segment(self, first: int, count: int) -> Segment:
        """Read the next `count` chunks, from number `first` on, in the calling thread.

        Raises SourceChanged, SourceReadFailed.
        """
        reading = self._read(first, count)
        if reading.error is not None:
            raise reading.error
        return reading.segment

    def _read(self, first: int, count: int) -> _Reading:
        """Read the next `count` chunks, or the chunks before a read that fails. Raises SourceChanged."""
        chunks: list[bytes] = []
        digests: list[bytes] = []
        error = None
        try:
            for n in range(first, first + count):
                self._look_once_a_second()
                data = self._read_chunk(n)
                digest = chunk_digest(data)
                self._total.update(data)
                self._root.update(digest)
                chunks.append(data)
                digests.append(digest)
        except SourceReadFailed as failed:
            error = failed
        return _Reading(segment=Segment(first=first, chunks=tuple(chunks), digests=tuple(digests)), error=error)

    def _look_once_a_second(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._look()


def read_chunk(descriptor: int, length: int, n: int) -> bytes:
    """Return chunk `n` of a source of `length` bytes. Raises SourceChanged, SourceReadFailed."""
    wanted = chunk_length(length, n)
    try:
        data = os.pread(descriptor, wanted, n * CHUNK_BYTES)
        while len(data) < wanted and (more := os.pread(descriptor, wanted - len(data), n * CHUNK_BYTES + len(data))):
            data += more
    except OSError as error:
        raise read_error("Reading the source failed", error) from error
    if len(data) < wanted:
        raise SourceChanged("The source became shorter while it was read; retry stores it as it is now.")
    return data
