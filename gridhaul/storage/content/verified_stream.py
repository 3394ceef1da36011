"""The way of a stored content out of MongoDB: its chunks pass stages, so that no unchecked byte leaves.

- reading: a thread takes batches of chunks from MongoDB.
- hashing: a thread passes each batch on, then adds it to the SHA-256 of the whole content.
- checking: a thread compares each chunk with the manifest.
- sending: the caller's thread takes the chunks, those of the last segment once that SHA-256 agrees.

Bounded queues join the stages (`process/stages.py`). A batch is hashed and checked at the same time, so that both
threads find it in the processor's caches.

A range of the content has no hashing stage, and the caller's thread checks its chunks. So a range holds few chunks in
memory, and many ranges can be read at once.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain

from gridhaul.process.stages import Stages
from gridhaul.transfer.chunking import (
    CHUNK_BYTES,
    MANIFEST_PAGE_CHUNKS,
    SEGMENT_MAX_CHUNKS,
    chunk_length,
    chunks_of_range,
)
from gridhaul.transfer.digest import DIGEST_BYTES, ContentDigest, chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt, ChunkDoubled, ChunkMissing, ContentMismatch
from gridhaul.transfer.model import Content

NumberedChunk = tuple[int, bytes]  # a chunk's number and data, as a layout reads them
Batch = Sequence[NumberedChunk]
ManifestPage = Callable[[int], bytes]

AHEAD = 1  # batches that wait between two stages; more of them would push each other out of the processor's caches


class VerifiedChunks:
    """`transfer.ports.contents.Chunks`. No thread runs before the first chunk is asked for."""

    def __init__(self, stages: Stages, chunks: Iterator[bytes]) -> None:
        self._stages = stages
        self._chunks = chunks

    def begin(self) -> None:
        for first in self._chunks:
            self._chunks = chain((first,), self._chunks)
            return

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def stop(self) -> None:
        self._stages.stop()

    def close(self) -> None:
        self._stages.close()


def verified_content(content: Content, batches: Generator[Batch], manifest_page: ManifestPage) -> VerifiedChunks:
    """Return all chunks of the content, which the batches hold."""
    stages, total = Stages(), ContentDigest()
    read = stages.run("reading", batches, ahead=AHEAD)
    hashed = stages.run("hashing", _hashed(read, total), ahead=AHEAD)
    numbers = range(content.chunk_count)
    checked = stages.run("checking", _checked(content, numbers, hashed, manifest_page), ahead=AHEAD)
    return VerifiedChunks(stages, _last_segment_held_back(content, checked, total, stages))


def verified_range(
    content: Content, batches: Generator[Batch], manifest_page: ManifestPage, *, start: int, stop: int
) -> VerifiedChunks:
    """Return the bytes from `start` to `stop` (exclusive) of the content. The batches hold the chunks of the range."""
    stages = Stages()
    read = stages.run("reading", batches, ahead=AHEAD)
    checked = _checked(content, chunks_of_range(start, stop), read, manifest_page)
    return VerifiedChunks(stages, _cut(checked, stages, start=start, stop=stop))


def checked_whole(content: Content, batch: Batch, manifest: bytes) -> tuple[bytes, ...]:
    """Return the chunks of a content of one manifest page, after all checks.

    Raises ChunkMissing, ChunkCorrupt, ContentMismatch.
    """
    total = ContentDigest()
    checked = _checked(content, range(content.chunk_count), _hashed([batch], total), lambda _: manifest)
    chunks = tuple(data for some in checked for _, data in some)
    _require_whole(content, total)
    return chunks


def _last_segment_held_back(
    content: Content, batches: Iterable[Batch], total: ContentDigest, stages: Stages
) -> Iterator[bytes]:
    """Yield the chunks in order, those of the last segment once length and SHA-256 of the content agree.

    When the batches end, `total` is complete: a queue reports its end after its last batch, so the checking stage
    ends only after the hashing stage has. Raises ContentMismatch, and StagesStopped even while it yields the chunks
    held back, which no longer come from a queue.
    """
    before_last_segment = content.chunk_count - SEGMENT_MAX_CHUNKS
    held_back: list[bytes] = []
    for batch in batches:
        for n, chunk in batch:
            if n < before_last_segment:
                stages.check()
                yield chunk
            else:
                held_back.append(chunk)
    _require_whole(content, total)
    for chunk in held_back:
        stages.check()
        yield chunk
    stages.check()


def _cut(batches: Iterable[Batch], stages: Stages, *, start: int, stop: int) -> Iterator[bytes]:
    """Yield of each chunk the bytes that lie between `start` and `stop`. Raises StagesStopped."""
    for batch in batches:
        for n, chunk in batch:
            stages.check()
            begins_at = n * CHUNK_BYTES
            yield chunk[max(0, start - begins_at) : stop - begins_at]
    stages.check()


def _require_whole(content: Content, total: ContentDigest) -> None:
    """Raise ContentMismatch unless length and SHA-256 are the content's."""
    if (total.length_bytes, total.hexdigest()) != (content.length, content.sha256):
        raise ContentMismatch(f"Content {content.id} differs from the digest it was sealed with.")


def _hashed(batches: Iterable[Batch], total: ContentDigest) -> Generator[Batch]:
    """Yield the batches, and add each to `total` after the next stage has taken it."""
    for batch in batches:
        yield batch
        for _, data in batch:
            total.update(data)


def _checked(
    content: Content, numbers: range, batches: Iterable[Batch], manifest_page: ManifestPage
) -> Generator[Batch]:
    """Yield each batch once all its chunks are those of the manifest. The batches hold the chunks of these numbers.

    Raises ChunkMissing, ChunkCorrupt, ChunkDoubled, and what `manifest_page` raises.
    """
    expected_next = numbers.start
    manifest = _Manifest(manifest_page)
    for batch in batches:
        for n, data in batch:
            if n < expected_next:
                raise ChunkDoubled(f"Chunk {n} of content {content.id} is stored more than once.")
            if n != expected_next:
                raise _missing(content, expected_next)
            if len(data) != chunk_length(content.length, n) or chunk_digest(data) != manifest.digest(n):
                raise ChunkCorrupt(f"Chunk {n} of content {content.id} is not what the manifest says.")
            expected_next += 1
        yield batch
    if expected_next < numbers.stop:
        raise _missing(content, expected_next)


def _missing(content: Content, n: int) -> ChunkMissing:
    return ChunkMissing(f"Chunk {n} of content {content.id} is missing.")


class _Manifest:
    """The chunk digests of one content. The last page that was read is kept."""

    def __init__(self, read_page: ManifestPage) -> None:
        self._read_page = read_page
        self._number = -1
        self._page = b""

    def digest(self, n: int) -> bytes:
        number, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        if number != self._number:
            self._number, self._page = number, self._read_page(number)
        return self._page[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
