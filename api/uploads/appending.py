"""The journey of one request that appends to an ordered upload, and the end of the upload when all bytes are there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from api.named_digest import NamedDigests
from api.uploads.checksum import BodyChecksum
from api.uploads.holding import Held
from api.uploads.parts import UploadParts, grant_of, require_allowed, reserved_length, upload_of
from api.uploads.receiving import Receiving
from api.uploads.running_digests import RunningDigest, digest_of_new, hashed
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import (
    ChunkServiceFailed,
    DigestMismatch,
    GridhaulError,
    InconsistentLength,
    LeaseLost,
    OffsetMismatch,
    UploadDigestMismatch,
    UploadTakenOver,
)
from gridhaul.transfer.model import Failure, File, Hint, Seal, TaskName
from gridhaul.transfer.states import FileState
from gridhaul.transfer.stored import fields_of_stored, names_another_digest, require_named_digest


async def append(
    parts: UploadParts,
    file: File,
    body: AsyncIterator[bytes],
    *,
    offset: int,
    checksum: BodyChecksum | None = None,
    length: int | None = None,
    ends_file: bool = False,
    sha256: str | None = None,
    named_at_end: Callable[[], NamedDigests] = NamedDigests,
) -> int:
    """Append the body to the upload, which has this offset, and return the new offset. Finish a whole upload.

    The upload is taken over from a request that holds it. With a checksum, no byte counts before all of them are right.
    With `ends_file` the file ends where the body ends. Without it, an upload whose client says when it is complete is
    not finished. A `length` and the `sha256` of all bytes are noted if the upload had named none. So are the digests
    that the client has named when the body is at its end.

    Raises OffsetMismatch, ChecksumMismatch, UploadDigestMismatch, UploadsBusy, UploadTakenOver, DigestMismatch if the
    upload had named another digest, what ended the body early, and the errors of storing. What has arrived is stored
    all the same, unless the request has a checksum.
    """
    async with parts.memory.hold(file.owner):
        try:
            async with parts.holdings.hold(file) as held:
                require_offset(held.file, offset)
                held.file = await name_digests(parts, held.file, NamedDigests(sha256=sha256))
                await _declare_length(parts, held, length)
                return await _append(
                    parts, held, body, checksum=checksum, ends_file=ends_file, named_at_end=named_at_end
                )
        except LeaseLost:
            raise UploadTakenOver("Another request continues the upload, or it was stopped.") from None


async def complete(parts: UploadParts, file: File, named: NamedDigests) -> None:
    """Finish an upload whose client says that it is complete, and names the digests of all bytes.

    An upload of unknown length ends where its offset is. Raises OffsetMismatch if bytes are missing, and what `append`
    raises.
    """
    async with parts.memory.hold(file.owner):
        try:
            async with parts.holdings.hold(file) as held:
                if reserved_length(held.file) is not None:
                    require_offset(held.file, held.file.length)
                held.file = await name_digests(parts, held.file, named)
                await _append(parts, held, _no_bytes(), checksum=None, ends_file=True, named_at_end=NamedDigests)
        except LeaseLost:
            raise UploadTakenOver("Another request continues the upload, or it was stopped.") from None


async def _no_bytes() -> AsyncIterator[bytes]:
    for part in list[bytes]():
        yield part


async def _declare_length(parts: UploadParts, held: Held, length: int | None) -> None:
    file = held.file
    known = reserved_length(file)
    if length is None or length == known:
        return
    require_possible(file, length)
    require_allowed(parts.max_file_bytes, length)
    await parts.usage.charge(file.owner, length - file.length)
    await parts.registry.declare_length(held.lease, length)
    held.file = replace(file, length=length, origin=replace(upload_of(file), length_deferred=False))


async def name_digests(parts: UploadParts, file: File, named: NamedDigests) -> File:
    """Note the digests of all bytes of an upload that is held, and return the file with them.

    Raises DigestMismatch if the upload has another one, and LeaseLost.
    """
    upload = upload_of(file)
    sha256, md5 = upload.sha256 or named.sha256, upload.md5 or named.md5
    if named.sha256 not in (None, sha256) or named.md5 not in (None, md5):
        raise DigestMismatch("The upload was begun with another digest; begin a new upload for other bytes.")
    if (sha256, md5) == (upload.sha256, upload.md5):
        return file
    await parts.registry.name_digests(file.lease, sha256=sha256, md5=md5)
    return replace(file, origin=replace(upload, sha256=sha256, md5=md5))


def require_possible(file: File, length: int) -> None:
    """Raise InconsistentLength if the upload cannot have this length: it has another one, or more bytes are stored."""
    known = reserved_length(file)
    if known not in (None, length):
        raise InconsistentLength(f"The upload has {known} bytes; its length does not change any more.")
    if length < file.stored_bytes:
        stored = file.stored_bytes
        raise InconsistentLength(f"The upload has {stored} bytes already, which is more than Upload-Length says.")


def require_offset(file: File, offset: int) -> None:
    if file.stored_bytes != offset:
        raise OffsetMismatch(f"The upload has {file.stored_bytes} bytes; go on from there.", offset=file.stored_bytes)


async def _append(
    parts: UploadParts,
    held: Held,
    body: AsyncIterator[bytes],
    *,
    checksum: BodyChecksum | None,
    ends_file: bool,
    named_at_end: Callable[[], NamedDigests],
) -> int:
    finishes = ends_file or not upload_of(held.file).completed_by_request
    receiving = Receiving(parts, held, staged=checksum is not None, finishes=finishes)
    try:
        await receiving.read(checksum.of(body) if checksum else body, ends_file=ends_file)
        if checksum is not None:
            checksum.require()
        held.file = await name_digests(parts, held.file, named_at_end())
        if receiving.whole is not None:
            await _finish_small(parts, held, receiving.whole)
            return receiving.received
        if checksum is not None:
            await receiving.commit()
        if finishes and receiving.is_complete:
            await finish(parts, held, receiving.digest)
        return receiving.offset
    finally:
        receiving.close()


async def finish(parts: UploadParts, held: Held, digest: RunningDigest | None) -> None:
    """Finish an upload, all of whose bytes are stored. Without their digest, a worker reads them back first.

    No seal may be tried before the last bytes are stored as a chunk, because it deletes the open tail.

    Raises UploadDigestMismatch.
    """
    await _note_md5(parts, held, digest)
    file = await parts.registry.begin_storing(held.lease)
    held.is_over = True
    parts.digests.forget(file.id)
    delay_seconds = _late_chunks_seconds(parts, file)
    if digest is None or digest.offset != file.length or not digest.has_last_chunk or delay_seconds:
        await _leave_to_worker(parts, file, delay_seconds=delay_seconds)
        return
    seal = digest.seal()
    await _require_named_digest(parts, file, seal, md5=digest.md5)
    try:
        layout = await parts.chunks.seal(grant_of(file), seal)
    except GridhaulError:
        await _leave_to_worker(parts, file)
        return
    await parts.files.finish(file.lease, FileState.STORED, **fields_of_stored(seal, layout))
    _hint_deliveries(parts, file)


async def finish_received(parts: UploadParts, held: Held) -> None:
    """Finish an upload, all of whose bytes count, although the process that received the last of them did not."""
    if held.file.length:
        await finish(parts, held, None)
    else:
        await _finish_small(parts, held, [])


async def _finish_small(parts: UploadParts, held: Held, chunks: list[bytes]) -> None:
    """Store and seal a whole small file in one request to the chunk service."""
    file, state = held.file, digest_of_new(upload_of(held.file))
    digests = await asyncio.to_thread(hashed, chunks, state, known_bytes=0)
    seal = state.seal()
    await _note_md5(parts, held, state)
    if names_another_digest(file, seal, md5=state.md5):
        held.is_over = True
        await _require_named_digest(parts, await parts.registry.begin_storing(held.lease), seal, md5=state.md5)
    content_id = grant_of(file).content_id
    whole = WholeContent(
        id=content_id,
        fence=file.fence,
        file_id=file.id,
        filename=file.name,
        content_type=file.content_type,
        seal=seal,
        chunks=tuple(chunks),
        digests=digests,
    )
    stored = await parts.chunks.store_whole([whole])
    if content_id not in stored:
        raise ChunkServiceFailed("The file was not stored; send it again.")
    await parts.registry.finish_whole(held.lease, **fields_of_stored(seal, stored[content_id]))
    held.is_over = True
    _hint_deliveries(parts, file)


async def _note_md5(parts: UploadParts, held: Held, digest: RunningDigest | None) -> None:
    """Note the MD5 if the client has named none: it may do so later, and is then told whether it has the same bytes."""
    if digest is not None and digest.md5 and digest.offset == held.file.length and upload_of(held.file).md5 is None:
        held.file = await name_digests(parts, held.file, NamedDigests(md5=digest.md5))


def _late_chunks_seconds(parts: UploadParts, file: File) -> float:
    """Return for how long a lost request may still store chunks past the end of the file.

    A late chunk within the file is refused, because the stored chunk has a higher fence. Only an upload that began
    without a length has taken chunks past its end, and only if a request was taken over that had not let go.
    """
    upload = upload_of(file)
    if upload.forced_at is None or not upload.began_without_length:
        return 0.0
    since = (file.updated_at - upload.forced_at).total_seconds()  # MongoDB's clock has set both times
    return max(0.0, parts.late_seconds - since)


async def _leave_to_worker(parts: UploadParts, file: File, *, delay_seconds: float = 0.0) -> None:
    await parts.files.release(file.lease, FileState.STORING, delay_seconds=delay_seconds)
    if delay_seconds:
        return
    parts.hints.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=file.id, queue=file.queue))


def _hint_deliveries(parts: UploadParts, file: File) -> None:
    if file.deliver_to:
        parts.hints.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=file.id, queue=file.queue))


async def _require_named_digest(parts: UploadParts, file: File, seal: Seal, *, md5: str | None) -> None:
    """End the file as FAILED and raise UploadDigestMismatch if the client named another digest."""
    try:
        require_named_digest(file, seal, md5=md5)
    except UploadDigestMismatch as error:
        failure = Failure(code=error.code, detail=error.detail)
        await parts.files.finish(file.lease, FileState.FAILED, error=failure)
        raise
