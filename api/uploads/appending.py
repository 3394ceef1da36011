"""The journey of one request that appends to an ordered upload, and the end of the upload when all bytes are there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from api.uploads.checksum import Checksum
from api.uploads.holding import Held
from api.uploads.parts import UploadParts, grant_of, require_allowed, reserved_length, upload_of
from api.uploads.receiving import Receiving
from api.uploads.running_digests import RunningDigest, hashed
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import (
    ChunkServiceFailed,
    DigestMismatch,
    GridhaulError,
    LeaseLost,
    Malformed,
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
    checksum: Checksum | None = None,
    length: int | None = None,
    ends_file: bool = False,
    sha256: str | None = None,
) -> int:
    """Append the body to the upload, which has this offset, and return the new offset. Finish a whole upload.

    The upload is taken over from a request that holds it. With a checksum, no byte counts before all of them are right.
    With `ends_file` the file ends where the body ends. Without it, an upload whose client says when it is complete is
    not finished. A `length` and the `sha256` of all bytes are noted if the upload had named none.

    Raises OffsetMismatch, ChecksumMismatch, UploadDigestMismatch, UploadsBusy, UploadTakenOver, DigestMismatch if the
    upload had named another `sha256`, what ended the body early, and the errors of storing. What has arrived is stored
    all the same, unless the request has a checksum.
    """
    async with parts.memory.hold(file.owner):
        try:
            async with parts.holdings.hold(file) as held:
                require_offset(held.file, offset)
                held.file = await name_digest(parts, held.file, sha256)
                await _declare_length(parts, held, length)
                return await _append(parts, held, body, checksum=checksum, ends_file=ends_file)
        except LeaseLost:
            raise UploadTakenOver("Another request continues the upload, or it was stopped.") from None


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


async def name_digest(parts: UploadParts, file: File, sha256: str | None) -> File:
    """Note the SHA-256 of all bytes of an upload that is held, and return the file with it.

    Raises DigestMismatch if the upload has another one, and LeaseLost.
    """
    upload = upload_of(file)
    if sha256 is None or sha256 == upload.sha256:
        return file
    if upload.sha256 is not None:
        raise DigestMismatch("The upload was begun with another SHA-256; begin a new upload for other bytes.")
    await parts.registry.name_digest(file.lease, sha256)
    return replace(file, origin=replace(upload, sha256=sha256))


def require_possible(file: File, length: int) -> None:
    """Raise Malformed if the upload cannot have this length: it has another one already, or more bytes are stored."""
    known = reserved_length(file)
    if known not in (None, length):
        raise Malformed(f"The upload has {known} bytes; its length does not change any more.")
    if length < file.stored_bytes:
        raise Malformed(f"The upload has {file.stored_bytes} bytes already, which is more than Upload-Length says.")


def require_offset(file: File, offset: int) -> None:
    if file.stored_bytes != offset:
        raise OffsetMismatch(f"The upload has {file.stored_bytes} bytes; go on from there.", offset=file.stored_bytes)


async def _append(
    parts: UploadParts, held: Held, body: AsyncIterator[bytes], *, checksum: Checksum | None, ends_file: bool
) -> int:
    finishes = ends_file or not upload_of(held.file).completed_by_request
    receiving = Receiving(parts, held, staged=checksum is not None, finishes=finishes)
    try:
        await receiving.read(checksum.of(body) if checksum else body, ends_file=ends_file)
        if checksum is not None:
            checksum.require()
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

    Raises UploadDigestMismatch.
    """
    file = await parts.registry.begin_storing(held.lease)
    held.is_over = True
    parts.digests.forget(file.id)
    delay_seconds = _late_chunks_seconds(parts, file)
    if digest is None or digest.offset != file.length or delay_seconds:
        await _leave_to_worker(parts, file, delay_seconds=delay_seconds)
        return
    seal = digest.seal()
    await _require_named_digest(parts, file, seal)
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
    file, state = held.file, RunningDigest()
    digests = await asyncio.to_thread(hashed, chunks, state, known_bytes=0)
    seal = state.seal()
    if names_another_digest(file, seal):
        held.is_over = True
        await _require_named_digest(parts, await parts.registry.begin_storing(held.lease), seal)
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


async def _require_named_digest(parts: UploadParts, file: File, seal: Seal) -> None:
    """End the file as FAILED and raise UploadDigestMismatch if the client named another digest."""
    try:
        require_named_digest(file, seal)
    except UploadDigestMismatch as error:
        failure = Failure(code=error.code, detail=error.detail)
        await parts.files.finish(file.lease, FileState.FAILED, error=failure)
        raise
