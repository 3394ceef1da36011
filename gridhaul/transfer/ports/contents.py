"""Contents, that is, stored byte sequences: made, filled with bytes, read with verification, and deleted.

All methods raise DatabaseUnavailable.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gridhaul.transfer.bundle import CheckedContent, WholeContent
from gridhaul.transfer.model import Content, FreeSpace, RecordId, Seal, Tail
from gridhaul.transfer.ports.targets import Blocks
from gridhaul.transfer.states import Layout


class Chunks(Blocks, Protocol):
    """The chunks of a content, for one thread to iterate over. Reading starts with `begin` or the first iteration.

    Whoever called `ContentReading.read` or `read_range` calls `close` at the end, also after an error.
    """

    def begin(self) -> None:
        """Wait until the first chunk can be yielded. Raises what iterating would raise."""

    def close(self) -> None:
        """Stop, and release the cursor and the threads that make the chunks. Waits for at most a second."""


class ContentReading(Protocol):
    async def get(self, content_id: RecordId) -> Content | None:
        """Return the content, or None."""

    def read(self, content: Content) -> Chunks:
        """Return the chunks of a sealed content in order, each checked against the manifest before it is yielded.

        The last 16 chunks are yielded only once length and SHA-256 of the whole content agree. Raises StateConflict if
        the content is not sealed. Iterating raises ChunkMissing, ChunkCorrupt or ChunkDoubled, which name the chunk,
        ContentMismatch, and DatabaseUnavailable.
        """

    def read_range(self, content: Content, *, start: int, stop: int) -> Chunks:
        """Return the bytes from `start` to `stop` (exclusive) of a sealed content, in pieces of at most one chunk.

        `0 <= start < stop <= content.length`. Every chunk that holds some of the bytes is compared as a whole with the
        manifest before its piece is yielded, and the manifest with the content's manifest root. The SHA-256 of the
        content is not computed. Raises what `read` raises.
        """

    def read_open(self, content: Content, *, first: int = 0) -> Chunks:
        """Return the chunks from number `first` on of a content that is not sealed yet.

        Each is checked against the digest it was stored with.

        Iterating raises ChunkMissing, ChunkCorrupt or ChunkDoubled, and DatabaseUnavailable.
        """

    async def read_whole(self, content_ids: Collection[RecordId]) -> Mapping[RecordId, CheckedContent]:
        """Return the sealed inline contents with all their chunks, after every check that `read` makes.

        A content with which anything is wrong is left out: `read` reports what it is.
        """


class ContentWriting(Protocol):
    def new_id(self) -> RecordId:
        """Return an id for a content that does not exist yet."""

    async def open(
        self, content_id: RecordId, *, file_id: RecordId, filename: str, content_type: str, length: int, fence: int
    ) -> Content:
        """Make the content, or take it over with a higher fence.

        Raises LeaseLost if a higher fence has opened the content, or if it is being deleted.
        """


class ContentDeletion(Protocol):
    async def drop_ref(self, content_id: RecordId, file_id: RecordId) -> None:
        """Remove the file from the content's refs. A content without refs loses its bytes, and waits to be swept."""

    async def drop_refs(self, refs: Mapping[RecordId, RecordId]) -> None:
        """Do what `drop_ref` does for many contents, each with its file. Only the caller lets them be swept later."""

    async def abandon(self, content: Content) -> bool:
        """Delete the bytes of a content that no file refers to; it waits to be swept.

        Return False, and change nothing, if the content's state or fence has changed.
        """

    async def sweep(self, content_id: RecordId) -> None:
        """Delete the record of a deleted content, and bytes that arrived after the delete.

        Do nothing before it is due.
        """

    async def sweep_all(self, content_ids: Collection[RecordId]) -> None:
        """Do what `sweep` does for each of the contents."""


class UploadContents(ContentWriting, ContentDeletion, Protocol):
    """Contents of uploads. Each chunk of an ordered upload has the fence of the request that stored it."""

    async def open_upload(
        self,
        content_id: RecordId,
        *,
        file_id: RecordId,
        filename: str,
        content_type: str,
        length: int | None,
        fence: int,
    ) -> Content:
        """Make the content, or take it over with a higher fence, as `ContentWriting.open` does.

        While its length is None, the content takes whole chunks only. A later call may give the length.
        """

    async def tail(self, content_id: RecordId) -> Tail | None:
        """Return the bytes that do not fill a chunk yet, or None. Raises ChunkCorrupt."""


class Contents(ContentReading, UploadContents, Protocol):
    """All that workers need of contents."""


class Intake(Protocol):
    """The store behind the chunk service. The caller has checked that digests and roots are those of the chunks."""

    async def digests(self, content_id: RecordId, *, first: int, count: int) -> bytes:
        """Return 33 bytes for each chunk: the byte 1 and the digest if it is stored, otherwise 33 zero bytes.

        Raises ContentUnknown.
        """

    async def store(
        self, content_id: RecordId, *, fence: int, first: int, chunks: Sequence[bytes], digests: Sequence[bytes]
    ) -> bool:
        """Store a segment, durable when this returns. Return whether any chunk was new.

        Raises ContentUnknown, StaleFence, ContentSealed, ChunkConflict, ChunkOutOfRange, LengthMismatch. No
        acknowledged chunk changes, except that a request of an ordered upload replaces chunks of earlier requests.
        If a segment raises ChunkConflict, its chunks that were not stored before may be
        stored now.
        """

    async def store_tail(self, content_id: RecordId, *, fence: int, n: int, data: bytes, digest: bytes) -> None:
        """Store the first bytes of chunk `n` of an ordered upload, in place of the tail before; durable then.

        Raises ContentUnknown, StaleFence, ContentSealed, LengthMismatch.
        """

    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        """Store small contents and seal them, each wholly or not at all, durable when this returns.

        Return the layout of each content that is stored. Any other is refused, because a content with its id exists;
        the record that stays for a time after a delete counts, too. If the call is repeated, the contents that the
        first call stored are not refused.
        """

    async def seal(self, content_id: RecordId, *, fence: int, seal: Seal) -> Content:
        """Make the content complete and unchangeable. Chunks of an ordered upload past its end are removed.

        Raises ContentUnknown, ContentIncomplete, ContentSealed, DigestMismatch, LengthMismatch, StaleFence.
        """

    async def repair(self, content_id: RecordId, *, n: int, chunk: bytes, digest: bytes) -> bool:
        """Put the chunk that the manifest names under number `n`, in place of whatever else is stored there.

        Return whether anything was wrong. A chunk that was stored is replaced in one write, so readers always find one.
        Raises ContentUnknown, StateConflict unless the content is sealed, ChunkConflict, ChunkOutOfRange,
        LengthMismatch.
        """

    async def free_space(self) -> FreeSpace:
        """Return the room for more chunks. Space that a delete frees shows minutes later, after a checkpoint."""
