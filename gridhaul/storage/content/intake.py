"""The store behind the chunk service: stores segments, tells which chunks are stored, seals and repairs contents."""

from collections.abc import AsyncIterator, Mapping, Sequence

from bson import ObjectId
from pymongo import ReturnDocument

from gridhaul.storage.codec import Codec
from gridhaul.storage.connect import Database, maps_database_errors
from gridhaul.storage.content.gridfs_layout import GridFSLayout
from gridhaul.storage.content.inline_layout import InlineLayout
from gridhaul.storage.content.manifest import Manifests
from gridhaul.storage.content.tails import Tails
from gridhaul.storage.content.whole_contents import WholeContents
from gridhaul.storage.lease import NOW
from gridhaul.storage.majority_reads import catch_up, read_with_catch_up
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.chunking import CHUNK_BYTES, MANIFEST_PAGE_CHUNKS, chunk_length
from gridhaul.transfer.digest import DIGEST_BYTES, ManifestRoot, manifest_root
from gridhaul.transfer.errors import (
    ChunkConflict,
    ChunkOutOfRange,
    ContentIncomplete,
    ContentSealed,
    ContentUnknown,
    DigestMismatch,
    LengthMismatch,
    StaleFence,
    StateConflict,
)
from gridhaul.transfer.model import Content, FreeSpace, RecordId, Seal
from gridhaul.transfer.states import ContentState, Layout

NOT_HELD = bytes(1 + DIGEST_BYTES)
HELD = b"\x01"
MISSING_NAMED_AT_MOST = 100


@maps_database_errors
class MongoIntake:
    """The port `transfer.ports.contents.Intake` on MongoDB."""

    def __init__(self, database: Database, *, inline_limit_chunks: int) -> None:
        self._database = database
        self._contents = database["contents"]
        self._codec = Codec(Content)
        self._inline = InlineLayout(database)
        self._gridfs = GridFSLayout(database)
        self._manifests = Manifests(database)
        self._tails = Tails(database)
        self._inline_limit_chunks = inline_limit_chunks
        self._whole = WholeContents(database, inline_limit_chunks=inline_limit_chunks)

    async def digests(self, content_id: RecordId, *, first: int, count: int) -> bytes:
        content = await self._content(content_id)
        held = await self._held(
            content, first, count if content.open_ended else min(count, content.chunk_count - first)
        )
        return b"".join(NOT_HELD if digest is None else HELD + digest for digest in held)

    async def store(
        self, content_id: RecordId, *, fence: int, first: int, chunks: Sequence[bytes], digests: Sequence[bytes]
    ) -> bool:
        content = await self._content(content_id, opened_with=fence)
        self._check_fence(content, fence)
        self._check_lengths(content, first, chunks)
        if content.state is ContentState.SEALED:
            raise ContentSealed("The content is sealed: it takes no more chunks.")
        if content.replaceable:
            return await self._gridfs.replace(content_id, first, chunks, digests, fence=fence)
        if content.layout is Layout.INLINE:
            held = await self._inline.digests(content_id)
            self._inline.require_same(held, first, digests)
            return False
        if content.layout is None and first == 0 and len(chunks) == content.chunk_count <= self._inline_limit_chunks:
            new = await self._inline.insert(content_id, chunks, digests)
            await self._note_layout(content_id, Layout.INLINE)
            return new
        if content.layout is None:
            await self._note_layout(content_id, Layout.GRIDFS)
        return await self._gridfs.insert(content_id, first, chunks, digests)

    async def store_tail(self, content_id: RecordId, *, fence: int, n: int, data: bytes, digest: bytes) -> None:
        content = await self._content(content_id, opened_with=fence)
        self._check_fence(content, fence)
        if content.state is ContentState.SEALED or not content.replaceable:
            raise ContentSealed("The content takes no open tail.")
        if not 0 < len(data) < CHUNK_BYTES:
            raise LengthMismatch("A tail has fewer bytes than a chunk, and at least one.")
        await self._tails.put(content_id, fence=fence, n=n, data=data, digest=digest)

    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        return await self._whole.store(contents)

    async def seal(self, content_id: RecordId, *, fence: int, seal: Seal) -> Content:
        try:
            return await self._seal(content_id, fence=fence, seal=seal)
        except ContentIncomplete:
            await catch_up(self._contents)
            return await self._seal(content_id, fence=fence, seal=seal)

    async def _seal(self, content_id: RecordId, *, fence: int, seal: Seal) -> Content:
        content = await self._content(content_id, opened_with=fence)
        self._check_fence(content, fence)
        if content.open_ended or content.length != seal.length:
            raise LengthMismatch(f"The content was opened with a length of {content.length} bytes.")
        if content.state is ContentState.SEALED:
            await self._remove_rest(content)  # a crash may have followed the seal
            return self._same_seal(content, seal)
        await self._remove_rest(content)
        layout = content.layout or await self._layout_to_note(content)
        if await self._write_manifest(content) != seal.manifest_root:
            raise DigestMismatch("The stored chunks do not give this manifest root.")
        if content.replaceable and self._inline_limit_chunks >= max(1, content.chunk_count):
            return await self._seal_inline(content, seal)
        if layout is Layout.GRIDFS:
            await self._gridfs.publish(content, seal)
        return await self._mark_sealed(content, layout, seal)

    async def _seal_inline(self, content: Content, seal: Seal) -> Content:
        """Seal a small upload, which arrived piece by piece, as one document.

        Raises ContentIncomplete if the same request, which was sent twice, has sealed the content meanwhile and has
        deleted the pieces.
        """
        chunks, digests = await self._gridfs.chunks(content.id)
        if manifest_root([b"".join(digests)]) != seal.manifest_root:
            raise ContentIncomplete("Chunks are missing.")
        await self._inline.replace(content.id, chunks, digests, fence=content.fence)
        sealed = await self._mark_sealed(content, Layout.INLINE, seal)
        await self._gridfs.delete_from(content.id, 0)
        return sealed

    async def repair(self, content_id: RecordId, *, n: int, chunk: bytes, digest: bytes) -> bool:
        content = await self._content(content_id)
        if content.state is not ContentState.SEALED:
            raise StateConflict("The content is not sealed: there is nothing to repair yet.")
        self._check_lengths(content, n, [chunk])
        page, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        manifest = await self._manifests.page(content_id, page)
        if manifest[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES] != digest:
            raise ChunkConflict(f"The manifest has other bytes for chunk {n}.")
        if content.layout is Layout.INLINE:
            return await self._inline.restore(content_id, n, chunk, manifest)
        return await self._gridfs.restore(content_id, n, chunk, digest)

    async def free_space(self) -> FreeSpace:
        stats = await self._database.command("dbStats", freeStorage=1)
        return FreeSpace(
            disk_bytes=int(stats["fsTotalSize"] - stats["fsUsedSize"]), reusable_bytes=int(stats["freeStorageSize"])
        )

    async def _content(self, content_id: RecordId, *, opened_with: int = 0) -> Content:
        document = await read_with_catch_up(
            self._contents,
            lambda: self._contents.find_one({"_id": ObjectId(content_id)}),
            found=lambda seen: seen is not None and seen["fence"] >= opened_with,
        )
        if document is None or document["state"] == ContentState.DELETING:
            raise ContentUnknown("There is no such content.")
        return self._codec.decode(document)

    def _check_fence(self, content: Content, fence: int) -> None:
        if content.fence != fence:
            raise StaleFence("Another worker holds this content now.")

    def _check_lengths(self, content: Content, first: int, chunks: Sequence[bytes]) -> None:
        if not content.open_ended and first + len(chunks) > content.chunk_count:
            raise ChunkOutOfRange(f"The content has {content.chunk_count} chunks.")
        for n, chunk in enumerate(chunks, first):
            length = CHUNK_BYTES if content.open_ended else chunk_length(content.length, n)
            if len(chunk) != length:
                raise LengthMismatch(f"Chunk {n} must have {length} bytes.")

    async def _held(self, content: Content, first: int, count: int) -> list[bytes | None]:
        """Return the digests of `count` chunks from `first` on, None for each chunk that is not stored."""
        held: list[bytes | None] = [None] * max(count, 0)
        if content.layout is Layout.GRIDFS:
            for n, digest in await self._gridfs.digests(content.id, first, len(held)):
                held[n - first] = digest
        else:
            # Look also if the content names no layout yet: a crash may have followed the insert of the inline document,
            # before the layout was noted in the content.
            digests = await self._inline.digests(content.id)
            for offset in range(len(held)):
                start = (first + offset) * DIGEST_BYTES
                held[offset] = digests[start : start + DIGEST_BYTES] or None
        return held

    async def _note_layout(self, content_id: RecordId, layout: Layout) -> None:
        await self._contents.update_one(
            {"_id": ObjectId(content_id), "layout": None}, {"$set": {"layout": layout.value}}
        )

    async def _layout_to_note(self, content: Content) -> Layout:
        """Return the layout of a content that names none yet.

        The content is empty, or no chunk was stored, or a crash followed the insert of its inline document, before the
        layout was noted in the content.
        """
        if content.chunk_count == 0:
            return Layout.INLINE if self._inline_limit_chunks else Layout.GRIDFS
        return Layout.INLINE if await self._inline.digests(content.id) else Layout.GRIDFS

    async def _write_manifest(self, content: Content) -> str:
        """Write the manifest's pages from the stored digests. Return their root in hex. Raises ContentIncomplete."""
        root = ManifestRoot()
        page = 0
        async for digests in self._complete_pages(content):
            root.update(digests)
            await self._manifests.write(content.id, page, digests, fence=content.fence)
            page += 1
        return root.hexdigest()

    async def _complete_pages(self, content: Content) -> AsyncIterator[bytes]:
        missing: list[int] = []
        for first in range(0, content.chunk_count, MANIFEST_PAGE_CHUNKS):
            held = await self._held(content, first, min(MANIFEST_PAGE_CHUNKS, content.chunk_count - first))
            missing += [n for n, digest in enumerate(held, first) if digest is None]
            if len(missing) >= MISSING_NAMED_AT_MOST:
                break
            if not missing:
                yield b"".join(digest for digest in held if digest is not None)
        if missing:
            named = ", ".join(str(n) for n in missing[:MISSING_NAMED_AT_MOST])
            raise ContentIncomplete(f"Chunks are missing: {named}.")

    async def _remove_rest(self, content: Content) -> None:
        """Delete the open tail of an ordered upload and its chunks past the end, or all its pieces if it is inline."""
        if content.replaceable:
            is_inline = content.layout is Layout.INLINE
            await self._gridfs.delete_from(content.id, 0 if is_inline else content.chunk_count)
            await self._tails.delete(content.id)

    def _same_seal(self, content: Content, seal: Seal) -> Content:
        if (content.sha256, content.manifest_root) != (seal.sha256, seal.manifest_root):
            raise ContentSealed("The content is sealed, with other digests.")
        return content

    async def _mark_sealed(self, content: Content, layout: Layout, seal: Seal) -> Content:
        document = await self._contents.find_one_and_update(
            {"_id": ObjectId(content.id), "state": ContentState.OPEN.value, "fence": content.fence},
            [
                {
                    "$set": {
                        "state": ContentState.SEALED.value,
                        "layout": layout.value,
                        "sha256": seal.sha256,
                        "manifest_root": seal.manifest_root,
                        "sealed_at": NOW,
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        if document is not None:
            return self._codec.decode(document)
        current = await self._content(content.id)
        if current.state is ContentState.SEALED and current.fence == content.fence:  # a concurrent copy of the request
            return self._same_seal(current, seal)
        raise StaleFence("Another worker holds this content now.")
