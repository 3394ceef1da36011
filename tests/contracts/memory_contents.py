"""Memory twins of the contents and of their intake, over plain dicts."""

import itertools
import shutil
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gridhaul.storage.content.verified_stream import (
    ManifestPage,
    NumberedChunk,
    checked_whole,
    verified_content,
    verified_range,
)
from gridhaul.transfer.bundle import CheckedContent, WholeContent
from gridhaul.transfer.chunking import CHUNK_BYTES, MANIFEST_PAGE_CHUNKS, chunk_length, chunks_of_range
from gridhaul.transfer.digest import DIGEST_BYTES, manifest_root
from gridhaul.transfer.errors import (
    ChunkConflict,
    ChunkOutOfRange,
    ContentIncomplete,
    ContentMismatch,
    ContentSealed,
    ContentUnknown,
    DigestMismatch,
    IntegrityError,
    LeaseLost,
    LengthMismatch,
    StaleFence,
    StateConflict,
)
from gridhaul.transfer.model import Content, FreeSpace, RecordId, Seal, Tail
from gridhaul.transfer.ports.contents import Chunks, Contents, Intake
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.memory_registry import Row, new_id

NOT_HELD = bytes(1 + DIGEST_BYTES)


class MemoryContents:
    """A twin of `transfer.ports.contents.Contents`."""

    def __init__(self, *, sweep_after_seconds: float) -> None:
        self.rows: dict[RecordId, Row[Content]] = {}
        self.chunks: dict[RecordId, dict[int, tuple[bytes, bytes]]] = {}  # the data and its digest, by number
        self.fences: dict[RecordId, dict[int, int]] = {}  # of the chunks of ordered uploads, by number
        self.tails: dict[RecordId, tuple[int, Tail]] = {}  # the open tail and its fence
        self.manifests: dict[RecordId, bytes] = {}
        self._sweep_after_seconds = sweep_after_seconds

    def new_id(self) -> RecordId:
        return new_id()

    async def open(
        self, content_id: RecordId, *, file_id: RecordId, filename: str, content_type: str, length: int, fence: int
    ) -> Content:
        made = {"filename": filename, "content_type": content_type, "length": length}
        return self._opened(content_id, file_id, fence, **made).record

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
        made = {"filename": filename, "content_type": content_type, "length": length or 0}
        row = self._opened(content_id, file_id, fence, **made, open_ended=length is None)
        if length is not None and row.record.open_ended:
            row.record = replace(row.record, length=length, open_ended=False)
        row.record = replace(row.record, replaceable=True, layout=row.record.layout or Layout.GRIDFS)
        return row.record

    def _opened(self, content_id: RecordId, file_id: RecordId, fence: int, **made: Any) -> Row[Content]:
        """Make the content with these fields, or take it over with a higher fence."""
        if content_id not in self.rows:
            new = Content(id=content_id, state=ContentState.OPEN, fence=fence, refs=(file_id,), **made)
            self.rows[content_id] = Row(record=new)
        row = self.rows[content_id]
        if row.record.state is ContentState.DELETING or row.record.fence > fence:
            raise LeaseLost(f"content {content_id}, fence {fence}")
        row.record = replace(row.record, fence=fence)
        return row

    async def tail(self, content_id: RecordId) -> Tail | None:
        _, tail = self.tails.get(content_id, (0, None))
        return tail

    def replace_chunks(
        self, content_id: RecordId, first: int, chunks: Sequence[bytes], digests: Sequence[bytes], *, fence: int
    ) -> None:
        """Store chunks of an ordered upload under the fence, whoever has opened the content since."""
        held, fences = self.chunks.setdefault(content_id, {}), self.fences.setdefault(content_id, {})
        new = dict(enumerate(zip(chunks, digests, strict=True), first))
        repeated = held.keys() & new.keys()
        for n, entry in new.items():
            if n not in repeated or fences.get(n, fence) < fence:
                held[n], fences[n] = entry, fence
            elif fences.get(n) != fence:
                raise StaleFence("Another request has continued the upload since.")
            elif held[n] != entry:
                raise ChunkConflict(f"Chunk {n} is stored with other bytes.")

    def remove_rest(self, content: Content) -> None:
        """Remove what requests of an ordered upload have left beside its chunks."""
        self.tails.pop(content.id, None)
        held = self.chunks.get(content.id, {})
        for n in [n for n in held if n >= content.chunk_count]:
            del held[n]

    def put_tail(self, content_id: RecordId, tail: Tail, *, fence: int) -> None:
        """Store an open tail under the fence, whoever has opened the content since."""
        if self.tails.get(content_id, (0, None))[0] > fence:
            raise StaleFence("Another request has continued the upload since.")
        self.tails[content_id] = (fence, tail)

    async def get(self, content_id: RecordId) -> Content | None:
        row = self.rows.get(content_id)
        return row.record if row else None

    def read(self, content: Content) -> Chunks:
        if content.state is not ContentState.SEALED:
            raise StateConflict(f"Content {content.id} is not sealed.")
        return verified_content(content, self._batches(content), self._page_of(content.id))

    def read_range(self, content: Content, *, start: int, stop: int) -> Chunks:
        if content.state is not ContentState.SEALED:
            raise StateConflict(f"Content {content.id} is not sealed.")
        numbers = chunks_of_range(start, stop)
        batches = (batch for batch in self._batches(content) if batch[0][0] in numbers)
        return verified_range(content, batches, self._checked_page_of(content), start=start, stop=stop)

    def read_open(self, content: Content, *, first: int = 0) -> Chunks:
        batches, start = (batch for batch in self._batches(content) if batch[0][0] >= first), first * CHUNK_BYTES
        return verified_range(content, batches, self._stored_page_of(content.id), start=start, stop=content.length)

    async def read_whole(self, content_ids: Collection[RecordId]) -> Mapping[RecordId, CheckedContent]:
        there = [self.rows[content_id].record for content_id in content_ids if content_id in self.rows]
        whole = {}
        for content in there:
            if (content.state, content.layout) == (ContentState.SEALED, Layout.INLINE):
                with suppress(IntegrityError):
                    batch = [numbered for some in self._batches(content) for numbered in some]
                    chunks = checked_whole(content, batch, self.manifests.get(content.id, b""))
                    whole[content.id] = CheckedContent(content=content, chunks=chunks)
        return whole

    async def drop_ref(self, content_id: RecordId, file_id: RecordId) -> None:
        if content_id not in self.rows:  # the new record forbids that the content is made later
            await self.open(content_id, file_id=file_id, filename="", content_type="", length=0, fence=0)
        row = self.rows[content_id]
        row.record = replace(row.record, refs=tuple(ref for ref in row.record.refs if ref != file_id))
        if not row.record.refs:
            row.record = replace(row.record, state=ContentState.DELETING)
            row.next_attempt_at = row.hint_at = time.monotonic() + self._sweep_after_seconds
            self._delete_bytes(content_id)

    async def drop_refs(self, refs: Mapping[RecordId, RecordId]) -> None:
        for content_id, file_id in refs.items():
            await self.drop_ref(content_id, file_id)
            if self.rows[content_id].record.state is ContentState.DELETING:
                self.rows[content_id].hint_at = None

    async def sweep_all(self, content_ids: Collection[RecordId]) -> None:
        for content_id in content_ids:
            await self.sweep(content_id)

    async def abandon(self, content: Content) -> bool:
        row = self.rows.get(content.id)
        if row is None or (row.record.state, row.record.fence) != (content.state, content.fence):
            return False
        row.record = replace(row.record, refs=(), state=ContentState.DELETING)
        row.next_attempt_at = row.hint_at = time.monotonic() + self._sweep_after_seconds
        self._delete_bytes(content.id)
        return True

    async def sweep(self, content_id: RecordId) -> None:
        row = self.rows.get(content_id)
        if row is not None and row.record.state is ContentState.DELETING and row.due_and_free:
            self._delete_bytes(content_id)
            del self.rows[content_id]

    def _delete_bytes(self, content_id: RecordId) -> None:
        self.chunks.pop(content_id, None)
        self.fences.pop(content_id, None)
        self.tails.pop(content_id, None)
        self.manifests.pop(content_id, None)

    def _batches(self, content: Content) -> Generator[list[NumberedChunk]]:
        for n, (data, _) in sorted(self.chunks.get(content.id, {}).items()):
            if n < content.chunk_count:
                yield [(n, data)]

    def _page_of(self, content_id: RecordId) -> ManifestPage:
        page_bytes = MANIFEST_PAGE_CHUNKS * DIGEST_BYTES

        def page(number: int) -> bytes:
            return self.manifests.get(content_id, b"")[number * page_bytes : (number + 1) * page_bytes]

        return page

    def _stored_page_of(self, content_id: RecordId) -> ManifestPage:
        held = self.chunks.get(content_id, {})

        def page(number: int) -> bytes:
            numbers = range(number * MANIFEST_PAGE_CHUNKS, (number + 1) * MANIFEST_PAGE_CHUNKS)
            return b"".join(held[n][1] for n in itertools.takewhile(held.__contains__, numbers))

        return page

    def _checked_page_of(self, content: Content) -> ManifestPage:
        page_of = self._page_of(content.id)

        def page(number: int) -> bytes:
            if manifest_root([self.manifests.get(content.id, b"")]) != content.manifest_root:
                raise ContentMismatch(f"The manifest of content {content.id} differs from its root.")
            return page_of(number)

        return page


class MemoryIntake:
    """A twin of `transfer.ports.contents.Intake` that stores into the same contents."""

    def __init__(self, contents: MemoryContents, *, inline_limit_chunks: int) -> None:
        self._contents = contents
        self._inline_limit_chunks = inline_limit_chunks

    async def digests(self, content_id: RecordId, *, first: int, count: int) -> bytes:
        content = self._content(content_id).record
        held = self._contents.chunks.get(content_id, {})
        end = first + count if content.open_ended else min(first + count, content.chunk_count)
        numbers = range(first, end)
        return b"".join(b"\x01" + held[n][1] if n in held else NOT_HELD for n in numbers)

    async def store(
        self, content_id: RecordId, *, fence: int, first: int, chunks: Sequence[bytes], digests: Sequence[bytes]
    ) -> bool:
        row = self._content(content_id, fence=fence)
        self._check_lengths(row.record, first, chunks)
        if row.record.state is ContentState.SEALED:
            raise ContentSealed("The content is sealed.")
        if row.record.replaceable:
            self._contents.replace_chunks(content_id, first, chunks, digests, fence=fence)
            return True
        held = self._contents.chunks.setdefault(content_id, {})
        new = dict(enumerate(zip(chunks, digests, strict=True), first))
        for n, (_, digest) in new.items():
            if n in held and held[n][1] != digest:
                raise ChunkConflict(f"Chunk {n} is stored with other bytes.")
        if row.record.layout is None:
            whole = len(chunks) == row.record.chunk_count <= self._inline_limit_chunks
            row.record = replace(row.record, layout=Layout.INLINE if whole else Layout.GRIDFS)
        before = len(held)
        held.update(new)
        return len(held) > before

    async def store_tail(self, content_id: RecordId, *, fence: int, n: int, data: bytes, digest: bytes) -> None:
        content = self._content(content_id, fence=fence).record
        if content.state is ContentState.SEALED or not content.replaceable:
            raise ContentSealed("The content takes no open tail.")
        if not 0 < len(data) < CHUNK_BYTES:
            raise LengthMismatch("A tail has fewer bytes than a chunk, and at least one.")
        self._contents.put_tail(content_id, Tail(n=n, data=data), fence=fence)

    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        layouts = {one.id: await self._store_one(one) for one in contents}
        return {content_id: layout for content_id, layout in layouts.items() if layout is not None}

    async def _store_one(self, whole: WholeContent) -> Layout | None:
        """Store and seal one content. Return its layout; None if it is refused."""
        held = self._contents
        if whole.id in held.rows:
            record = held.rows[whole.id].record
            alike = (record.state, record.fence, record.seal) == (ContentState.SEALED, whole.fence, whole.seal)
            return record.layout if alike else None
        await held.open(
            whole.id,
            file_id=whole.file_id,
            filename=whole.filename,
            content_type=whole.content_type,
            length=whole.seal.length,
            fence=whole.fence,
        )
        if whole.chunks:
            await self.store(whole.id, fence=whole.fence, first=0, chunks=whole.chunks, digests=whole.digests)
        sealed = await self.seal(whole.id, fence=whole.fence, seal=whole.seal)
        return sealed.layout

    async def seal(self, content_id: RecordId, *, fence: int, seal: Seal) -> Content:
        row = self._content(content_id, fence=fence)
        content = row.record
        if content.open_ended or content.length != seal.length:
            raise LengthMismatch(f"The content was opened with a length of {content.length} bytes.")
        if content.state is ContentState.SEALED:
            if (content.sha256, content.manifest_root) != (seal.sha256, seal.manifest_root):
                raise ContentSealed("The content is sealed, with other digests.")
            if content.replaceable:
                self._contents.remove_rest(content)
            return content
        held = self._contents.chunks.get(content_id, {})
        if content.replaceable:
            self._contents.remove_rest(content)
        if missing := [str(n) for n in range(content.chunk_count) if n not in held]:
            raise ContentIncomplete(f"Chunks are missing: {', '.join(missing[:100])}.")
        manifest = b"".join(held[n][1] for n in range(content.chunk_count))
        if manifest_root([manifest]) != seal.manifest_root:
            raise DigestMismatch("The stored chunks do not give this manifest root.")
        self._contents.manifests[content_id] = manifest
        small = self._inline_limit_chunks >= max(1, content.chunk_count)
        if content.replaceable:
            layout = Layout.INLINE if small else Layout.GRIDFS
        else:
            layout = content.layout or (Layout.INLINE if self._inline_limit_chunks else Layout.GRIDFS)
        row.record = replace(
            content,
            state=ContentState.SEALED,
            layout=layout,
            sha256=seal.sha256,
            manifest_root=seal.manifest_root,
            sealed_at=datetime.now(UTC),
        )
        return row.record

    async def repair(self, content_id: RecordId, *, n: int, chunk: bytes, digest: bytes) -> bool:
        content = self._content(content_id).record
        if content.state is not ContentState.SEALED:
            raise StateConflict("The content is not sealed.")
        self._check_lengths(content, n, [chunk])
        if self._contents.manifests[content_id][n * DIGEST_BYTES : (n + 1) * DIGEST_BYTES] != digest:
            raise ChunkConflict(f"The manifest has other bytes for chunk {n}.")
        held = self._contents.chunks.setdefault(content_id, {})
        wrong = held.get(n) != (chunk, digest)
        held[n] = (chunk, digest)
        return wrong

    async def free_space(self) -> FreeSpace:
        return FreeSpace(disk_bytes=shutil.disk_usage("/").free, reusable_bytes=0)

    def _content(self, content_id: RecordId, *, fence: int | None = None) -> Row[Content]:
        row = self._contents.rows.get(content_id)
        if row is None or row.record.state is ContentState.DELETING:
            raise ContentUnknown("There is no such content.")
        if fence is not None and row.record.fence != fence:
            raise StaleFence("Another worker holds this content now.")
        return row

    def _check_lengths(self, content: Content, first: int, chunks: Sequence[bytes]) -> None:
        if not content.open_ended and first + len(chunks) > content.chunk_count:
            raise ChunkOutOfRange(f"The content has {content.chunk_count} chunks.")
        for n, chunk in enumerate(chunks, first):
            length = CHUNK_BYTES if content.open_ended else chunk_length(content.length, n)
            if len(chunk) != length:
                raise LengthMismatch(f"Chunk {n} must have {length} bytes.")


def _check(contents: MemoryContents, intake: MemoryIntake) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[Contents, Intake] = (contents, intake)
