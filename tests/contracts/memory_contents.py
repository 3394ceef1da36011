"""Contents and their intake over plain dicts."""

import shutil
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from gridhaul.storage.verified_stream import NumberedChunk, verified
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS, chunk_length
from gridhaul.transfer.digest import DIGEST_BYTES, manifest_root
from gridhaul.transfer.errors import (
    ChunkConflict,
    ChunkOutOfRange,
    ContentIncomplete,
    ContentSealed,
    DigestMismatch,
    LeaseLost,
    LengthMismatch,
    NotFound,
    StaleFence,
    StateConflict,
)
from gridhaul.transfer.model import Content, RecordId, Seal
from gridhaul.transfer.ports import Contents, Intake
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.memory_registry import Row, new_id

NOT_HELD = bytes(1 + DIGEST_BYTES)


class MemoryContents:
    """`transfer.ports.Contents`."""

    def __init__(self, *, sweep_after_seconds: float) -> None:
        self.rows: dict[RecordId, Row[Content]] = {}
        self.chunks: dict[RecordId, dict[int, tuple[bytes, bytes]]] = {}  # the data and its digest
        self.manifests: dict[RecordId, bytes] = {}
        self._sweep_after_seconds = sweep_after_seconds

    def new_id(self) -> RecordId:
        return new_id()

    async def open(
        self, content_id: RecordId, *, file_id: RecordId, filename: str, content_type: str, length: int, fence: int
    ) -> Content:
        if content_id not in self.rows:
            made = Content(
                id=content_id,
                filename=filename,
                content_type=content_type,
                length=length,
                state=ContentState.OPEN,
                fence=fence,
                refs=(file_id,),
            )
            self.rows[content_id] = Row(record=made)
        row = self.rows[content_id]
        if row.record.state is ContentState.DELETING or row.record.fence > fence:
            raise LeaseLost(f"content {content_id}, fence {fence}")
        row.record = replace(row.record, fence=fence)
        return row.record

    async def get(self, content_id: RecordId) -> Content | None:
        row = self.rows.get(content_id)
        return row.record if row else None

    async def read(self, content: Content) -> AsyncGenerator[bytes]:
        if content.state is not ContentState.SEALED:
            raise StateConflict(f"Content {content.id} is not sealed.")
        async with aclosing(verified(content, self._batches(content.id), self._page_of(content.id))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def drop_ref(self, content_id: RecordId, file_id: RecordId) -> None:
        row = self.rows.get(content_id)
        if row is None:
            return
        row.record = replace(row.record, refs=tuple(ref for ref in row.record.refs if ref != file_id))
        if not row.record.refs:
            row.record = replace(row.record, state=ContentState.DELETING)
            row.next_attempt_at = row.hint_at = time.monotonic() + self._sweep_after_seconds
            self._delete_bytes(content_id)

    async def sweep(self, content_id: RecordId) -> None:
        row = self.rows.get(content_id)
        if row is not None and row.record.state is ContentState.DELETING and row.due_and_free:
            self._delete_bytes(content_id)
            del self.rows[content_id]

    def _delete_bytes(self, content_id: RecordId) -> None:
        self.chunks.pop(content_id, None)
        self.manifests.pop(content_id, None)

    async def _batches(self, content_id: RecordId) -> AsyncGenerator[Sequence[NumberedChunk]]:
        for n, (data, _) in sorted(self.chunks.get(content_id, {}).items()):
            yield [(n, data)]
