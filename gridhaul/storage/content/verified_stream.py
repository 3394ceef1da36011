"""A stored content on its way out: which stages its chunks pass, so that every byte was checked before it is given.

    reading     takes batches of chunks from MongoDB
    hashing     adds each batch to the digest of the whole, after it has handed the batch on
    checking    compares each chunk with the manifest
    sending     is whoever iterates: the last segment is held back until the digest of the whole agrees

Each stage runs in a thread of its own, joined by bounded queues: see `process/stages.py`. A batch is hashed while it is
checked: both find it in the processor's caches.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain

from gridhaul.process.stages import Stages
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, SEGMENT_MAX_CHUNKS, chunk_length
from gridhaul.transfer.digest import DIGEST_BYTES, ContentDigest, chunk_digest
from gridhaul.transfer.errors import ChunkCorrupt, ChunkDoubled, ChunkMissing, ContentMismatch
from gridhaul.transfer.model import Content

NumberedChunk = tuple[int, bytes]  # a chunk's number and data, as a layout reads them
Batch = Sequence[NumberedChunk]
ManifestPage = Callable[[int], bytes]

AHEAD = 1  # batches between two stages: more of them only push each other out of the caches


class VerifiedChunks:
    """`transfer.ports.Chunks`. No thread runs before the first chunk is wanted."""

    def __init__(self, content: Content, batches: Generator[Batch], manifest_page: ManifestPage) -> None:
        self._stages = Stages()
        read = self._stages.run("reading", batches, ahead=AHEAD)
        total = ContentDigest()
        hashed = self._stages.run("hashing", _hashed(read, total), ahead=AHEAD)
        checked = self._stages.run("checking", _checked(content, hashed, manifest_page), ahead=AHEAD)
        self._chunks = _last_segment_held_back(content, checked, total)

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


def _hashed(batches: Iterable[Batch], total: ContentDigest) -> Generator[Batch]:
    """The batches, each of which is handed on before it is hashed."""
    for batch in batches:
        yield batch
        for _, data in batch:
            total.update(data)


def _checked(content: Content, batches: Iterable[Batch], manifest_page: ManifestPage) -> Generator[Batch]:
    """The batches, each once every chunk in it is the one that the manifest names. Raises unless all are there."""
    expected_next = 0
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
    if expected_next < content.chunk_count:
        raise _missing(content, expected_next)


def _missing(content: Content, n: int) -> ChunkMissing:
    return ChunkMissing(f"Chunk {n} of content {content.id} is missing.")


def _last_segment_held_back(content: Content, batches: Iterable[Batch], total: ContentDigest) -> Iterator[bytes]:
    """The chunks in order. Those of the last segment wait until length and SHA-256 of the whole agree.

    When the batches have ended, all of them have been hashed: an end goes through the stages behind everything else.
    """
    before_last_segment = content.chunk_count - SEGMENT_MAX_CHUNKS
    held_back: list[bytes] = []
    for batch in batches:
        for n, chunk in batch:
            if n < before_last_segment:
                yield chunk
            else:
                held_back.append(chunk)
    if (total.length_bytes, total.hexdigest()) != (content.length, content.sha256):
        raise ContentMismatch(f"Content {content.id} differs from the digest it was sealed with.")
    yield from held_back


class _Manifest:
    """The digests of a content, of which one page is kept."""

    def __init__(self, read_page: ManifestPage) -> None:
        self._read_page = read_page
        self._number = -1
        self._page = b""

    def digest(self, n: int) -> bytes:
        number, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        if number != self._number:
            self._number, self._page = number, self._read_page(number)
        return self._page[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
